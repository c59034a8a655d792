/** Survey and findings as a person reads them, and as a script does. Called by: command.ts. */
import { styleText } from "node:util";
import { showMs, type Finding, type Severity } from "./finding.js";
import { answered, type ConnectionFacts, type Survey } from "./observation.js";

const COLOURS: { readonly [S in Severity]: "red" | "yellow" | "cyan" } = {
  fault: "red",
  risk: "yellow",
  note: "cyan",
};

/** The stable shape of `--json`: `{url, findings, seen}`. */
export function toJsonReport(survey: Survey, findings: readonly Finding[]): string {
  const { url, ...seen } = survey;
  return `${JSON.stringify({ url, findings, seen }, undefined, 2)}\n`;
}

export function toTextReport(survey: Survey, findings: readonly Finding[], colour: boolean): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    colour ? styleText(style, text, { validateStream: false }) : text;
  const facts = describe(survey).map(([name, value]) => `  ${paint("dim", name.padEnd(14))} ${value}`);
  const parts = findings.map(({ id, severity, seen, fits, evidence, effect, fix }) =>
    [
      `${paint(COLOURS[severity], severity.toUpperCase().padEnd(5))} ${paint("bold", id)}: ${seen}`,
      `      what it does  ${effect}`,
      ...(fits === undefined ? [] : [`      fits          ${fits}`]),
      ...(evidence === undefined
        ? []
        : [`      headers say   ${evidence} ${paint("dim", "(any hop may have written them)")}`]),
      ...fix.map((line, index) => `      ${index === 0 ? "change      " : "            "}  ${line}`),
    ].join("\n"),
  );
  return `${[paint("bold", survey.url), ...facts, "", ...parts, summarise(findings)].join("\n")}\n`;
}

function summarise(findings: readonly Finding[]): string {
  const count = (severity: Severity) => findings.filter((finding) => finding.severity === severity).length;
  const [faults, risks, notes] = [count("fault"), count("risk"), count("note")];
  if (faults + risks === 0)
    return `Nothing is wrong with this way${notes === 0 ? "" : `; ${notes} to know`}.`;
  return `${faults} at fault, ${risks} at risk, ${notes} to know.`;
}

function describe(survey: Survey): readonly (readonly [string, string])[] {
  const plain = answered(survey.plain);
  const http2 = answered(survey.http2);
  const lines: (readonly [string, string])[] = [["connection", describeConnection(survey.connection)]];
  if (plain !== undefined) {
    const type = plain.headers["content-type"] ?? "no type";
    const first = plain.events[0];
    lines.push(
      [
        "HTTP/1.1",
        `${plain.status} ${type}, headers after ${showMs(plain.headersMs)}, ${describeEnd(plain.end)}`,
      ],
      [
        "events",
        first === undefined
          ? `none in ${showMs(plain.end.atMs)}, ${plain.reads.length} reads`
          : `${plain.events.length} in ${showMs(plain.end.atMs)}, the first after ${showMs(first.atMs)}: ${countNames(plain.events.map(({ event }) => event))}`,
      ],
    );
  }
  if (http2 !== undefined)
    lines.push([
      "HTTP/2",
      `${http2.status}, headers after ${showMs(http2.headersMs)}, ${describeEnd(http2.end)}`,
    ]);
  if (survey.resumedFrom !== undefined) {
    const resumed = answered(survey.resumed);
    lines.push([
      "resume",
      `from ${survey.resumedFrom}: ${resumed === undefined ? "no response" : `${resumed.status}, ${resumed.events.length} events`}`,
    ]);
  }
  if (survey.clockSkewMs !== undefined)
    lines.push(["clock", `server − here ${showMs(survey.clockSkewMs)}, within a second`]);
  lines.push([
    "probe",
    survey.probe === undefined
      ? "none (holdfast serve --probe would show delays, upload buffering and lost clients)"
      : `delays ${survey.probe.delaysMs.map((delay) => Math.round(delay)).join(" ")} ms; ${survey.probe.uploadSeenBytes} of ${survey.probe.uploadSentBytes} B of half an upload seen; a lost client noticed after ${survey.probe.goneNoticedMs === undefined ? "more than " : ""}${showMs(survey.probe.goneNoticedMs ?? survey.probe.goneWaitedMs)}`,
  ]);
  return lines;
}

function describeConnection({ addresses, lookupMs, connectMs, tls, error }: ConnectionFacts): string {
  if (error !== undefined) return `${error.step} failed`;
  const secure =
    tls === undefined
      ? "no TLS"
      : `${tls.version}, ALPN ${tls.alpn ?? "none"}, certificate for ${tls.validDays} days`;
  return `${addresses.join(" ")}, name ${showMs(lookupMs)}, TCP ${showMs(connectMs ?? 0)}, ${secure}`;
}

function describeEnd(end: { readonly kind: string; readonly atMs: number; readonly code?: string }): string {
  return end.kind === "left"
    ? "open when the doctor left"
    : `${end.kind}${end.code === undefined ? "" : ` (${end.code})`} after ${showMs(end.atMs)}`;
}

function countNames(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
}
