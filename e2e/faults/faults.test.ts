/**
 * The fault matrix: each cell is a test, and each asks for zeros and for being whole again within one heartbeat.
 *
 * The whole form (`npm run faults`) keeps the figures in e2e/results and makes docs/faults.md from them.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { SEED, WHOLE } from "../harness/run-form.js";
import type { CellOutcome } from "./cell.js";
import { keepFaultsResult, toFaultsResult } from "./fault-table.js";
import { FAULTS, FORM, MAX_SECONDS_UNTIL_WHOLE, PARTIAL, runMatrix, TRANSPORTS } from "./matrix.js";
import { ZEROS } from "./oracle.js";

const RUN_MS = WHOLE ? 20 * 60_000 : 4 * 60_000;

const cells = runMatrix(AbortSignal.timeout(RUN_MS));
const outcomes: CellOutcome[] = [];
const leftOut: { readonly fault: string; readonly reason: string }[] = [];

beforeAll(() => {
  console.log(`seed ${SEED}`);
});

afterAll(() => {
  const result = toFaultsResult({
    seed: SEED,
    faults: FAULTS.map((fault) => ({
      name: fault.name,
      what: fault.what(FORM),
      maxSecondsUntilWhole: MAX_SECONDS_UNTIL_WHOLE,
    })),
    transports: TRANSPORTS,
    heartbeatMs: FORM.heartbeatMs,
    cells: outcomes,
    leftOut,
  });
  console.log(JSON.stringify(result, undefined, 2));
  if (WHOLE && !PARTIAL) keepFaultsResult(result);
});

for (const { name, plan, leftOut: reason, outcome } of cells) {
  test(
    `${name}: nothing lost, repeated, reordered or gone backward, one ending each, and soon whole again`,
    async (context) => {
      if (reason !== undefined) {
        leftOut.push({ fault: plan.fault.name, reason });
        if (process.env["CI"] === "true") throw new Error(`left out: ${reason}`);
        context.skip(reason);
      }
      const figures = await outcome;
      outcomes.push(figures);
      const soon = figures.secondsUntilWhole <= MAX_SECONDS_UNTIL_WHOLE;
      expect({ ...figures, soon }).toMatchObject({ violations: [], verdict: ZEROS, soon: true });
    },
    RUN_MS,
  );
}
