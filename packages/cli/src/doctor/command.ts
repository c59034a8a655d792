/**
 * `holdfast doctor URL`: what stands between a browser and a stream, from the client's side alone.
 *
 * Promises: it ends within the watch and half a minute; every finding names what was seen, what it does to people and what to
 * change; exit code 0 without faults and risks, 1 with a fault, 3 with a risk alone, 2 when wrongly called. Works on any endpoint of Server-Sent Events;
 * more is shown of a server with probe routes. Refuses: to follow redirects, and to change anything. Called by: main.ts.
 */
import type { CommandIo } from "../command-io.js";
import { parseFlags } from "../flags.js";
import { renderEntry } from "../help.js";
import { boolean, duration, text, type SettingKind } from "../setting-kind.js";
import { UsageError } from "../usage-error.js";
import { diagnose } from "./diagnose.js";
import { toJsonReport, toTextReport } from "./report.js";
import { takeSurvey } from "./survey.js";

const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\u{20}-\u{7E}\u{80}-\u{FF}]*)$/u;
const WATCH = "30s";

type Headers = { readonly [name: string]: string };

/** Repeated ones arrive joined by commas, which a value may hold itself: a comma parts them where a name and a colon follow. */
const headers: SettingKind<Headers> = {
  placeholder: "'Name: value'",
  isList: true,
  format: (value) =>
    Object.entries(value)
      .map((pair) => pair.join(": "))
      .join(", "),
  parse: (written, name) =>
    Object.fromEntries(
      written.split(/,(?=[\w-]+:)/).map((one) => {
        const [, field, value] = HEADER.exec(one.trim()) ?? [];
        if (field !== undefined && value !== undefined) return [field, value];
        throw new UsageError(`${name} must be a name, a colon and a value: got ${JSON.stringify(one)}`);
      }),
    ),
};
const time = duration("2s", "24h");
const origin = text("<origin>", /^https?:\/\/[^/?#\s]+$/, "a scheme and a host, as https://app.example");
const FLAGS = { header: headers, watch: time, idle: time, origin, json: boolean() } as const;

/** Throws UsageError. */
export async function doctor(args: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseFlags(args, FLAGS);
  const url = parseUrl(positionals);
  const watchMs = time.parse(values.get("idle") ?? values.get("watch") ?? WATCH, "--watch");
  const from = values.get("origin");
  const json = values.get("json") === "true";
  const leaving = new AbortController();
  const leave = () => leaving.abort();
  io.signals.on("SIGINT", leave);
  io.signals.on("SIGTERM", leave);
  try {
    const survey = await takeSurvey({
      url,
      headers: headers.parse(values.get("header") ?? "Accept-Language: en", "--header"),
      watchMs,
      origin: from === undefined ? undefined : origin.parse(from, "--origin"),
      signal: leaving.signal,
      tell: (step) => io.stderr.write(`… ${step}\n`),
    });
    const findings = diagnose(survey);
    const colour = io.stdout.isTTY === true && io.env["NO_COLOR"] === undefined;
    io.stdout.write(json ? toJsonReport(survey, findings) : toTextReport(survey, findings, colour));
    if (findings.some(({ severity }) => severity === "fault")) return 1;
    return findings.some(({ severity }) => severity === "risk") ? 3 : 0;
  } finally {
    io.signals.off("SIGINT", leave);
    io.signals.off("SIGTERM", leave);
  }
}

function parseUrl(positionals: readonly string[]): URL {
  const [address, ...rest] = positionals;
  if (address === undefined || rest.length > 0) {
    throw new UsageError(
      `doctor takes one URL: got ${positionals.length === 0 ? "none" : positionals.join(" ")}; write holdfast doctor https://app.example/events`,
    );
  }
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`doctor takes a URL of http or https: got ${address}`);
  }
  return url;
}

export function doctorHelp(): string {
  const entries = [
    { name: "header", placeholder: headers.placeholder, help: "Sent with every request; repeat it." },
    {
      name: "watch",
      placeholder: time.placeholder,
      help: "How long the stream is watched.",
      standard: WATCH,
    },
    {
      name: "idle",
      placeholder: time.placeholder,
      help: "Watch for so long instead, to find out who cuts a silent stream.",
    },
    {
      name: "origin",
      placeholder: origin.placeholder,
      help: "A site of another origin that is to read the stream: whether it may.",
    },
    { name: "json", placeholder: "", help: "Findings and everything seen, as JSON." },
  ];
  return `Usage: holdfast doctor URL [flags]

Looks at an endpoint of Server-Sent Events as a browser does and names what stands between the two: what was seen, what it does to
people, what to change. Any server; of holdfast serve --probe more is seen. Exit code 0: nothing wrong; 1: a fault; 3: a risk.

${entries.map(renderEntry).join("\n")}`;
}
