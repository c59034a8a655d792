import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Cursor, TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import { RecentHistory } from "./recent-history.js";
import { openSqliteStore } from "./sqlite-store.js";
import type { MilestonePage, StoredMilestone } from "./store.js";
import { change, commit, created } from "./store.test.kit.js";

function milestone(position: number, data = "{}"): StoredMilestone {
  const cursor = `e-1-${position}` as Cursor;
  return { taskId: "t" as TaskId, position, cursor, event: "stage", data, ending: false };
}

function page(...positions: number[]): MilestonePage {
  return { milestones: positions.map((position) => milestone(position)), done: true, trimmed: undefined };
}

const A = "a" as TaskId;
const B = "b" as TaskId;

test("it answers for what follows the place it was read from, also for what was added since, and for nothing before it", () => {
  const recent = new RecentHistory();
  recent.keep(A, 3, page(5, 7));
  recent.append(A, [milestone(9)]);
  recent.append(B, [milestone(8)]);
  expect(recent.page(A, 2, 10)).toBeUndefined();
  expect(recent.page(B, 8, 10)).toBeUndefined();
  expect(recent.page(A, 4, 10)).toEqual(page(5, 7, 9));
  expect(recent.page(A, 5, 1)).toEqual({ ...page(7), done: false });
  expect(recent.page(A, 9, 10)).toEqual(page());
});

test("a page that is not the last is not kept", () => {
  const recent = new RecentHistory();
  recent.keep(A, 0, { ...page(1, 2), done: false });
  expect(recent.page(A, 0, 10)).toBeUndefined();
  expect(recent.trimmed(A)).toBeUndefined();
});

test("its weight is bounded: the task read longest ago goes, and one that is too heavy alone is not held", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ task: fc.nat(20), chars: fc.nat(900), add: fc.boolean() }), { maxLength: 200 }),
      (steps) => {
        const recent = new RecentHistory(16_384);
        for (const [at, { task, chars, add }] of steps.entries()) {
          const one = milestone(at + 1, "x".repeat(chars));
          const id = `t${task}` as TaskId;
          if (add) recent.append(id, [one]);
          else recent.keep(id, at, { milestones: [one], done: true, trimmed: undefined });
          expect(recent.bytes).toBeLessThanOrEqual(16_384);
        }
        recent.clear();
        expect(recent.bytes).toBe(0);
      },
    ),
  );
  const recent = new RecentHistory(8_000);
  recent.keep(A, 0, page());
  for (let index = 0; index < 18; index += 1) recent.keep(`t${index}` as TaskId, 0, page());
  expect(recent.page(A, 0, 1)).toEqual(page()); // and so it is now the last one read
  recent.keep(B, 0, page());
  recent.keep("c" as TaskId, 0, page());
  expect(recent.page("t0" as TaskId, 0, 1)).toBeUndefined();
  expect(recent.page(A, 0, 1)).toEqual(page());
  recent.append(A, [milestone(1, "x".repeat(1_000))]);
  expect(recent.page(A, 0, 1)).toBeUndefined();
});

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      task: fc.nat(2),
      count: fc.integer({ min: 1, max: 4 }),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("read" as const),
      task: fc.nat(2),
      at: fc.nat(60),
      limit: fc.integer({ min: 1, max: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fail" as const), task: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("trim" as const),
      ageMs: fc.nat(30),
      page: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), task: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const), task: fc.nat(2) }) },
);

test("whatever is added, rolled back, trimmed and expired: what is remembered is what the file holds", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-recent-"));
  let runs = 0;
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        runs += 1;
        const now = { ms: 1_000 };
        const store = await openSqliteStore({
          directory: join(directory, String(runs)),
          now: () => now.ms,
          historyPerTask: 5,
        });
        const rows: TaskRow[] = [];
        for (let task = 0; task < 3; task += 1) rows.push((await commit(store, created())).row);
        const agree = async (id: TaskId, after: number, limit: number): Promise<void> => {
          const query = { after, limit, endingsOnlyUpTo: 0 };
          // Named twice, the task is not one that is asked for alone: the file answers.
          const file = await store.readMilestones({ ...query, of: { taskIds: [id, id] } });
          expect(await store.readTrimmed({ taskIds: [id] })).toEqual(file.trimmed);
          expect(await store.readMilestones({ ...query, of: { taskIds: [id] } })).toEqual(file);
          expect(await store.readTrimmed({ taskIds: [id] })).toEqual(file.trimmed);
        };
        for (const one of steps) {
          now.ms += 5;
          if (one.do === "trim") {
            await store.trimMilestones(now.ms - one.ageMs, one.page);
            continue;
          }
          const row: TaskRow | undefined = rows[one.task];
          if (row === undefined) throw new Error(`no task ${one.task}`);
          const over = row.status === "completed";
          if (one.do === "read") await agree(row.id, one.at, one.limit);
          if (one.do === "expire" && over) await store.expireTask(row.id);
          if (over) continue;
          if (one.do === "add")
            rows[one.task] = (
              await commit(store, change(row, ...Array<string>(one.count).fill("stage")))
            ).row;
          if (one.do === "end")
            rows[one.task] = (await commit(store, change({ ...row, status: "completed" }, "complete"))).row;
          if (one.do === "fail") {
            // In one turn: both are rolled back together, then the good one is committed alone.
            const unwritable = { event: null as unknown as string, data: "{}", ending: false };
            const [good] = await Promise.all([
              commit(store, change(row, "stage")),
              expect(store.commit({ ...created(), milestones: [unwritable] })).rejects.toThrow(HoldfastError),
            ]);
            rows[one.task] = good.row;
          }
        }
        for (const { id } of rows) for (let at = 0; at < 60; at += 3) await agree(id, at, 3);
        await store.close();
      }),
      // What few walks meet: a task that is remembered when a transaction is rolled back.
      {
        numRuns: 20,
        examples: [
          [
            [
              { do: "read", task: 0, at: 0, limit: 1 },
              { do: "fail", task: 0 },
            ],
          ],
        ],
      },
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
