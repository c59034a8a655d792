/** A matrix of zeros is worth what its oracle sees: each kind of fault in what was heard must be counted, and nothing else. */
import { parseCursor, parseTaskId, type Cursor, type Task } from "@holdfast/protocol";
import { expect, test } from "vitest";
import { judge, wholeAgainAtMs, ZEROS, type Produced, type Verdict, type Watched } from "./oracle.js";
import { WatchTally, type HeardMilestone, type WatchRecord } from "./watch-tally.mjs";

const MILESTONES = [
  heard(2, "status", null),
  heard(3, "step.done", 1),
  heard(4, "step.done", 2),
  heard(5, "step.done", 3),
  heard(6, "complete", null),
];
const PRODUCED: Produced = {
  stored: MILESTONES.map(({ sequence: position, taskId, event }) => ({
    position,
    taskId,
    event,
    batchId: null,
    ending: event === "complete",
  })),
  steps: new Map([["a", 3]]),
  endings: new Map([["a", "complete"]]),
};

function heard(sequence: number, event: string, step: number | null, atMs = sequence): HeardMilestone {
  return { sequence, taskId: "a", event, step, atMs };
}

function watched(milestones: readonly HeardMilestone[], fields: Partial<WatchRecord> = {}): Watched {
  const record = {
    name: "watcher",
    startedAt: 1,
    connections: 1,
    losses: 0,
    gaps: 0,
    progressEvents: 0,
    progressBackward: 0,
    milestones,
    aliveAtMs: [],
    outcome: "ended",
    ...fields,
  };
  return { record, taskIds: new Set(["a"]) };
}

const doctored: readonly (readonly [string, readonly HeardMilestone[], Partial<Verdict>])[] = [
  ["all of them in order", MILESTONES, {}],
  ["one left out", MILESTONES.toSpliced(2, 1), { milestonesLost: 1 }],
  [
    "one heard twice",
    MILESTONES.toSpliced(3, 0, heard(4, "step.done", 2)),
    { milestonesRepeated: 1, milestonesReordered: 1 },
  ],
  [
    "two exchanged",
    [2, 4, 3, 5, 6].flatMap((at) => MILESTONES.filter(({ sequence }) => sequence === at)),
    { milestonesReordered: 2 },
  ],
  ["no ending", MILESTONES.slice(0, -1), { milestonesLost: 1, endingsMissing: 1 }],
  ["a second ending under another cursor", [...MILESTONES, heard(7, "failed", null)], { endingsDoubled: 1 }],
];

test.each(doctored)("%s is judged as that", (_name, milestones, expected) => {
  expect(judge([watched(milestones)], PRODUCED)).toEqual({ ...ZEROS, ...expected });
});

test("what was stored before the watcher began is not owed", () => {
  expect(judge([watched(MILESTONES.slice(2), { startedAt: 3 })], PRODUCED)).toEqual(ZEROS);
});

test("a step that was confirmed and is not in the store is lost", () => {
  const steps = new Map([["a", 4]]);
  expect(judge([watched(MILESTONES)], { ...PRODUCED, steps }).milestonesLost).toBe(1);
});

test("another ending than the producer's is a missing one", () => {
  const endings = new Map([["a", "failed"]]);
  expect(judge([watched(MILESTONES)], { ...PRODUCED, endings }).endingsMissing).toBe(1);
});

test("whole again is when the last of what was late came", () => {
  const acknowledged = [3, 4, 5].map((sequence) => ({ sequence, taskId: "a", atMs: sequence * 1_000 }));
  const at = (...times: readonly number[]): Watched =>
    watched(
      times.map((atMs, index) => heard(index + 3, "step.done", index + 1, atMs)),
      { aliveAtMs: [3_001, 4_600] },
    );
  expect(wholeAgainAtMs(at(3_001, 4_600, 5_001), acknowledged, 4_500)).toBe(4_600);
  expect(wholeAgainAtMs(at(4_700, 4_700, 5_001), acknowledged, 4_500)).toBe(4_700);
  expect(wholeAgainAtMs(at(3_001, 4_700, 9_000), acknowledged, 4_500)).toBe(9_000);
  expect(wholeAgainAtMs(at(3_001, 4_001), acknowledged, 4_500)).toBe(Infinity);
  expect(wholeAgainAtMs(watched([], { aliveAtMs: [] }), [], 4_500)).toBe(Infinity);
});

test("progress behind an earlier one of its attempt is counted, a new attempt's is not", () => {
  const tally = new WatchTally();
  const taskId = parseTaskId("a");
  if (taskId === undefined) throw new Error("a is an id");
  const cursor = "e-1-1" as Cursor;
  const hear = (attempt: number, done: number, shown: number): number => {
    const data = { taskId, attempt, done } as never;
    tally.hear({ type: "progress", data, lastEventId: cursor }, { id: "a", attempt, done: shown } as Task, 0);
    return tally.toRecord("watcher").progressBackward;
  };
  expect(parseCursor(cursor)?.sequence).toBe(1);
  expect([hear(1, 5, 5), hear(1, 6, 6), hear(2, 1, 1), hear(2, 0, 1), hear(2, 1, 0)]).toEqual([
    0, 0, 0, 1, 2,
  ]);
});
