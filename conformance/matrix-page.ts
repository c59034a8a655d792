/**
 * The result as it is kept, and docs/proxies.md, which is made of it and of conformance/why.md: the matrix says nothing that the
 * result does not, and why each line is there is written by hand.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, release, type as systemName } from "node:os";
import { fileURLToPath } from "node:url";
import { STANDARD } from "./deployment.js";
import type { RunOutcome } from "./node-run.js";

export interface ConformanceResult {
  readonly suite: "conformance";
  readonly date: string;
  readonly node: string;
  readonly machine: string;
  readonly cores: number;
  readonly command: string;
  readonly cases: readonly { readonly name: string; readonly promise: string }[];
  /** Proxy → what it says of itself. */
  readonly versions: { readonly [proxy: string]: string };
  readonly runs: readonly RunOutcome[];
}

const RESULTS = fileURLToPath(new URL("results/", import.meta.url));
const WHY = fileURLToPath(new URL("why.md", import.meta.url));
const NAME = /^\d{4}-\d{2}-\d{2}-conformance\.json$/;
export const PAGE: string = fileURLToPath(new URL("../docs/proxies.md", import.meta.url));

export function toResult(figures: Pick<ConformanceResult, "cases" | "versions" | "runs">): ConformanceResult {
  return {
    suite: "conformance",
    date: new Date().toISOString(),
    node: process.version,
    machine: `${systemName()} ${release()}`,
    cores: availableParallelism(),
    command: "npm run conformance",
    ...figures,
  };
}

/** Writes the result and the page. */
export function keepResult(result: ConformanceResult): void {
  mkdirSync(RESULTS, { recursive: true });
  writeFileSync(
    `${RESULTS}${result.date.slice(0, 10)}-conformance.json`,
    `${JSON.stringify(result, undefined, 2)}\n`,
  );
  writeFileSync(PAGE, toPage(result));
}

/** Undefined when none is kept. */
export function readNewestResult(): ConformanceResult | undefined {
  const newest = readdirSync(RESULTS)
    .filter((name) => NAME.test(name))
    .toSorted()
    .at(-1);
  if (newest === undefined) return undefined;
  return JSON.parse(readFileSync(`${RESULTS}${newest}`, "utf8")) as ConformanceResult;
}

export function toPage(result: ConformanceResult): string {
  const { cases, versions, runs } = result;
  const ours = runs.filter(({ config }) => config !== STANDARD);
  const standard = runs.filter(({ config }) => config === STANDARD);
  return `# Proxies

This page is made by \`npm run conformance\` from conformance/results and conformance/why.md; edit the latter. \`holdfast proxy --list\` names
the configurations, \`holdfast proxy nginx --domain app.example.com --upstream 127.0.0.1:8080\` prints one with your names in it.

## The matrix

The real proxy from Debian in front of a built \`holdfast serve\`, over TLS, with what \`holdfast proxy\` prints and with the shortest
configuration that passes requests on. Each cell is one case; below the tables stands what each promises. – is not asked: a browser can't be, or there is no
proxy. A row that is measured anew (\`HOLDFAST_PROXIES=nginx npm run conformance\`) takes the place of the older one.

- ${result.date.slice(0, 10)}, \`${result.command}\`, Node ${result.node.slice(1)}, ${result.cores} cores, ${result.machine}
- our configurations: ${countKept(ours)} cases kept; the shortest ones: ${countKept(standard)}
${Object.entries(versions)
  .map(([name, version]) => `- ${name}: ${version}\n`)
  .join("")}
### As \`holdfast proxy\` prints it

${toMatrix(ours, cases)}
${toLimits(ours)}
### The shortest configuration

✗ is what happens to the raw stream or upload; the client we ship makes good for what can be made good (resume, polls, chunks).

${toMatrix(standard, cases)}

${toFindings(standard)}

### The cases

${toTable(
  ["case", "what must be true"],
  cases.map(({ name, promise }) => [name, promise]),
)}

${readFileSync(WHY, "utf8")}`;
}

function countKept(runs: readonly RunOutcome[]): string {
  const outcomes = runs.flatMap((run) => run.outcomes);
  return `${outcomes.filter(({ ok }) => ok).length} of ${outcomes.length}`;
}

function toMatrix(runs: readonly RunOutcome[], cases: ConformanceResult["cases"]): string {
  return toTable(
    ["proxy", "client", "HTTP", ...cases.map(({ name }) => name)],
    runs.map((run) => [
      run.config === STANDARD ? run.proxy : run.config,
      run.client,
      run.http,
      ...cases.map(({ name }) => toCell(run, name)),
    ]),
  );
}

function toLimits(runs: readonly RunOutcome[]): string {
  const limits = runs.flatMap(({ config, cannot = {} }) =>
    Object.entries(cannot).map(([name, why]) => `\nCan’t: ${name} with ${config}, ${why}.\n`),
  );
  return [...new Set(limits)].join("");
}

function toCell({ outcomes, cannot = {}, config }: RunOutcome, name: string): string {
  const outcome = outcomes.find((one) => one.case === name);
  if (outcome === undefined) return "–";
  if (config !== STANDARD && !outcome.ok && Object.hasOwn(cannot, name)) return "can’t";
  return outcome.ok ? "✓" : "✗";
}

function toFindings(runs: readonly RunOutcome[]): string {
  const rows = runs.flatMap(({ proxy, client, http, outcomes }) =>
    outcomes.filter(({ ok }) => !ok).map((outcome) => [proxy, client, http, outcome.case, outcome.seen]),
  );
  return toTable(["proxy", "client", "HTTP", "case", "what was seen"], rows);
}

function toTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows]
    .map((row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`)
    .join("\n");
}
