/** The result as it is kept, and the page that is made of it: docs/faults.md says nothing that the result does not. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem, type as systemName } from "node:os";
import { fileURLToPath } from "node:url";
import type { CellOutcome } from "./cell.js";

export interface FaultsFigures {
  readonly seed: number;
  readonly faults: readonly {
    readonly name: string;
    readonly what: string;
    readonly maxSecondsUntilWhole: number;
  }[];
  readonly transports: readonly string[];
  readonly heartbeatMs: number;
  readonly cells: readonly CellOutcome[];
  readonly leftOut: readonly { readonly fault: string; readonly reason: string }[];
}

export interface FaultsResult extends FaultsFigures {
  readonly suite: "faults";
  readonly date: string;
  readonly node: string;
  readonly machine: string;
  readonly cores: number;
  readonly command: string;
}

const RESULTS = fileURLToPath(new URL("../results/", import.meta.url));
const NAME = /^\d{4}-\d{2}-\d{2}-faults\.json$/;
export const PAGE: string = fileURLToPath(new URL("../../docs/faults.md", import.meta.url));

export function toFaultsResult(figures: FaultsFigures): FaultsResult {
  const gib = Math.round(totalmem() / 2 ** 30);
  return {
    suite: "faults",
    date: new Date().toISOString(),
    node: process.version,
    machine: `${systemName()} ${release()}, ${cpus()[0]?.model ?? "unknown processor"}, ${gib} GiB`,
    cores: availableParallelism(),
    command: `HOLDFAST_SEED=${figures.seed} npm run faults`,
    ...figures,
  };
}

/** Writes the result and the page. */
export function keepFaultsResult(result: FaultsResult): void {
  mkdirSync(RESULTS, { recursive: true });
  const text = `${JSON.stringify(result, undefined, 2)}\n`;
  writeFileSync(`${RESULTS}${result.date.slice(0, 10)}-faults.json`, text);
  writeFileSync(PAGE, toFaultsPage(result));
}

/** Undefined when none is kept. */
export function readNewestResult(): FaultsResult | undefined {
  const newest = readdirSync(RESULTS)
    .filter((name) => NAME.test(name))
    .toSorted()
    .at(-1);
  if (newest === undefined) return undefined;
  return JSON.parse(readFileSync(`${RESULTS}${newest}`, "utf8")) as FaultsResult;
}

const COLUMNS: readonly (readonly [string, (cell: CellOutcome) => string | number])[] = [
  ["fault", ({ fault }) => fault],
  ["tasks", ({ tasks }) => tasks],
  ["transport", ({ transport }) => transport],
  ["watchers", ({ watchers }) => watchers.toLocaleString("en")],
  ["losses", ({ losses }) => losses.toLocaleString("en")],
  ["milestones heard", ({ milestonesHeard }) => milestonesHeard.toLocaleString("en")],
  ["lost", ({ verdict }) => verdict.milestonesLost],
  ["repeated", ({ verdict }) => verdict.milestonesRepeated],
  ["reordered", ({ verdict }) => verdict.milestonesReordered],
  ["progress backward", ({ verdict }) => verdict.progressBackward],
  ["endings missing", ({ verdict }) => verdict.endingsMissing],
  ["endings doubled", ({ verdict }) => verdict.endingsDoubled],
  ["whole again after", ({ secondsUntilWhole }) => `${secondsUntilWhole.toFixed(1)} s`],
];

export function toFaultsPage(result: FaultsResult): string {
  const { faults, cells, leftOut, transports } = result;
  const ofFaults = faults.map(({ name }) => cells.filter(({ fault }) => fault === name));
  const head = COLUMNS.map(([title]) => title);
  const rows = ofFaults.flat().map((cell) => COLUMNS.map(([, read]) => String(read(cell))));
  const notes = [
    ...faults
      .filter(({ maxSecondsUntilWhole }) => maxSecondsUntilWhole * 1_000 > result.heartbeatMs)
      .map(
        ({ name, maxSecondsUntilWhole }) =>
          `${name}: ${maxSecondsUntilWhole} s are allowed; all of its watchers share these cores with their server and its producers`,
      ),
    ...(transports.includes("poll")
      ? []
      : ["The transport axis has one value, `sse`: polling is not measured yet."]),
    ...leftOut.map(({ fault, reason }) => `Left out on this machine: ${fault} (${reason}).`),
  ];
  return `# Faults, and what they cost

This page is made by \`npm run faults\` from e2e/results; don't edit it. A built server in a process of its own, the published client in
another, real sockets between them, and producers that report numbered milestones and progress over HTTP, again and again under an
idempotency key until they are answered. Then a fault. At the end the store is read, and what each watcher heard is compared with it.

- ${result.date.slice(0, 10)}, \`${result.command}\`, Node ${result.node.slice(1)}, ${result.cores} cores, ${result.machine}
- heartbeat ${result.heartbeatMs / 1_000} s; the command fails when a count is not zero, or when a watcher is not whole again within one heartbeat
- the table's sums: ${sumOf(cells, "milestonesHeard")} milestones heard over ${sumOf(cells, "connections")} connections and polls by ${sumOf(cells, "watchers")} watchers
${notes.map((note) => `- ${note}\n`).join("")}
${toTable(head, rows)}

**Lost**: stored, or confirmed to its producer, and not heard. **Repeated**, **reordered**: heard by the application, behind the client. **Progress
backward**: an event, or the task as the client shows it, behind an earlier one of the same attempt. **Endings**: each watcher owes exactly
one, the right one, for each task. **Whole again after**: from the lifting of the fault (a server that answers again, a line that carries again) until the slowest
watcher had heard anything, all that was stored before, and each later milestone that took more than a second.
"Many tasks" are one batch on one connection; in the storm each watcher watches one of them.

## What each fault does

${toTable(
  ["fault", "what is done", "seen to happen"],
  faults.map(({ name, what }, at) => [
    name,
    what,
    [...new Set((ofFaults[at] ?? []).map(({ evidence }) => evidence))].join("; ") || "left out",
  ]),
)}
`;
}

function sumOf(cells: readonly CellOutcome[], field: "milestonesHeard" | "connections" | "watchers"): string {
  return cells.reduce((sum, cell) => sum + cell[field], 0).toLocaleString("en");
}

function toTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
