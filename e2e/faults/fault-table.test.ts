/** The page is made, not written: a figure that stands on it and in no result is a claim that nobody measured. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PAGE, readNewestResult, toFaultsPage } from "./fault-table.js";
import { FAULTS, PARTIAL, TRANSPORTS } from "./matrix.js";
import { ZEROS } from "./oracle.js";

const result = readNewestResult();

test("docs/faults.md is what the newest result says", () => {
  expect(readFileSync(PAGE, "utf8")).toBe(result === undefined ? "" : toFaultsPage(result));
});

test("the newest result has every fault, with one task and with many, over every transport, and holds what is promised", () => {
  const cells = result?.cells ?? [];
  for (const cell of cells) {
    const bound = result?.faults.find(({ name }) => name === cell.fault)?.maxSecondsUntilWhole;
    expect(cell).toMatchObject({ violations: [], verdict: ZEROS });
    expect(cell.secondsUntilWhole).toBeLessThanOrEqual(bound ?? 0);
  }
  const measured = cells.map(
    ({ fault, tasks, transport }) => `${fault}, ${tasks > 1 ? "many" : "one"}, ${transport}`,
  );
  const asked = FAULTS.flatMap(({ name }) =>
    ["one", "many"].flatMap((tasks) => TRANSPORTS.map((transport) => `${name}, ${tasks}, ${transport}`)),
  );
  if (PARTIAL) expect(measured).toEqual(expect.arrayContaining(asked));
  else expect(measured.toSorted()).toEqual(asked.toSorted());
});
