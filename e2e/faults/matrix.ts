/**
 * Every fault, with one task and with many, over every transport that the client has. Cells run beside each other, since most of them
 * wait most of the time.
 *
 * HOLDFAST_FAULTS="half-open,reset" takes only these faults; then nothing is kept.
 */
import { setMaxListeners } from "node:events";
import type { StreamTransport } from "@holdfast/client";
import { SEED, WHOLE } from "../harness/run-form.js";
import { runCell, type CellOutcome, type CellPlan } from "./cell.js";
import { CONNECTION_FAULTS } from "./connection-faults.js";
import type { Fault, Form } from "./fault.js";
import { LINK_FAULTS } from "./link-faults.js";
import { explainMissing } from "./machine-needs.js";
import { READER_FAULTS } from "./reader-faults.js";
import { SERVER_FAULTS } from "./server-faults.js";

export const FORM: Form = WHOLE
  ? { whole: true, heartbeatMs: 10_000, holdMs: 30_000, stormWatchers: { sse: 10_000, poll: 1_000 } }
  : { whole: false, heartbeatMs: 1_000, holdMs: 4_000, stormWatchers: { sse: 300, poll: 100 } };

/** One standard heartbeat, to which the short form is held as well. */
export const MAX_SECONDS_UNTIL_WHOLE = 10;

const MANY_TASKS = 20;
export const TRANSPORTS: readonly StreamTransport[] = ["sse", "poll"];
// Two cores: a cell takes a tenth of one while it produces, and the starts are what is dear.
const AT_ONCE = 10;

const chosen = process.env["HOLDFAST_FAULTS"]?.split(",");
export const PARTIAL: boolean = chosen !== undefined;

const ALL_FAULTS = [...CONNECTION_FAULTS, ...SERVER_FAULTS, ...LINK_FAULTS, ...READER_FAULTS];
export const FAULTS: readonly Fault[] = ALL_FAULTS.filter(
  ({ name }) => chosen === undefined || chosen.includes(name),
);

export interface Cell {
  readonly name: string;
  readonly plan: CellPlan;
  /** Why it can't run on this machine. */
  readonly leftOut: string | undefined;
  readonly outcome: Promise<CellOutcome>;
}

/** Starts all of them; each has its promise. The signal gives up. */
export function runMatrix(signal: AbortSignal): readonly Cell[] {
  setMaxListeners(0, signal);
  const waiting: { readonly alone: boolean; readonly run: () => Promise<void> }[] = [];
  const cells = FAULTS.flatMap((fault, at) => {
    const leftOut = fault.needs.map((need) => explainMissing(need)).find((reason) => reason !== undefined);
    return [1, MANY_TASKS].flatMap((tasks, row) =>
      TRANSPORTS.map((transport, column): Cell => {
        const seed = SEED + 100 * at + 10 * row + column;
        const plan = { fault, tasks, transport, seed };
        const name = `${fault.name}, ${tasks === 1 ? "1 task" : `${tasks} tasks`}, ${transport}`;
        if (leftOut !== undefined) return { name, plan, leftOut, outcome: new Promise(() => undefined) };
        const outcome = new Promise<CellOutcome>((resolve, reject) => {
          const run = async (): Promise<void> => await runCell(plan, FORM, signal).then(resolve, reject);
          waiting.push({ alone: WHOLE && fault.alone === true, run });
        });
        outcome.catch(() => undefined); // its test asks
        return { name, plan, leftOut, outcome };
      }),
    );
  });
  void runAll(waiting);
  return cells;
}

async function runAll(
  waiting: readonly { readonly alone: boolean; readonly run: () => Promise<void> }[],
): Promise<void> {
  const beside = waiting.filter(({ alone }) => !alone);
  const lane = async (): Promise<void> => {
    for (let next = beside.shift(); next !== undefined; next = beside.shift()) await next.run();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  for (const { run } of waiting.filter(({ alone }) => alone)) await run();
}
