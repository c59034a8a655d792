/**
 * What every store promises, as one suite. A backend's own test file runs it.
 */
import type { BatchId, TaskId } from "@holdfast/protocol";
import type { BatchRow } from "../tasks/task-row.js";
import { describe, expect, test } from "vitest";
import { holdsHistory } from "./history-suite.js";
import type { DeliveryEntry } from "./delivery-log.js";
import { change, commit, created, type StoreUnderTest } from "./store.test.kit.js";

const everything = { after: 0, limit: 1_000, endingsOnlyUpTo: 0 };

export function storeSuite(name: string, open: (historyPerTask?: number) => Promise<StoreUnderTest>): void {
  const promise = (title: string, run: (under: StoreUnderTest) => Promise<void>): void => {
    test(title, async () => {
      const under = await open();
      try {
        await run(under);
      } finally {
        await under.release();
      }
    });
  };

  describe(`${name} keeps the promises of a store`, () => {
    promise(
      "positions grow in the order in which commits resolve, and subscribers hear them in that order",
      async ({ store }) => {
        const heard: number[] = [];
        store.subscribe(({ milestones }) => heard.push(...milestones.map(({ position }) => position)));
        const resolved: number[] = [];
        await Promise.all(
          Array.from({ length: 300 }, async () => {
            const { milestones } = await commit(store, created());
            resolved.push(...milestones.map(({ position }) => position));
          }),
        );
        expect(resolved).toHaveLength(300);
        expect(resolved).toEqual([...new Set(resolved)].toSorted((a, b) => a - b));
        expect(heard).toEqual(resolved);
      },
    );

    promise("a subscriber hears of a commit before its promise resolves", async ({ store }) => {
      let heard = false;
      store.subscribe(() => (heard = true));
      await commit(store, created());
      expect(heard).toBe(true);
    });

    promise("a row knows its newest milestone and the newest that is no ending", async ({ store }) => {
      const first = await commit(store, created());
      const second = await commit(store, change(first.row, "stage", "complete"));
      expect(second.row.position).toBe(second.milestones[1]?.position);
      expect(second.row.openPosition).toBe(second.milestones[0]?.position);
      expect(second.row.openCursor).toBe(second.milestones[0]?.cursor);
      expect(await store.readTask(first.row.id)).toEqual(second.row);
      expect(await store.newest()).toEqual({ cursor: second.row.cursor, position: second.row.position });
    });

    promise("a commit computed from an older version changes nothing", async ({ store }) => {
      const { row } = await commit(store, created());
      const newer = await commit(store, change(row, "stage"));
      expect(await store.commit(change(row, "stage"))).toEqual({ kind: "conflict" });
      expect(await store.readTask(row.id)).toEqual(newer.row);
      const page = await store.readMilestones({ of: { taskIds: [row.id] }, ...everything });
      expect(page.milestones).toHaveLength(2);
    });

    promise("two commits of one version in one turn: the second is a conflict", async ({ store }) => {
      const { row } = await commit(store, created());
      const results = await Promise.all([
        store.commit(change(row, "stage")),
        store.commit(change(row, "stage")),
      ]);
      expect(results.map(({ kind }) => kind)).toEqual(["committed", "conflict"]);
    });

    promise("an id can be taken once, also after its task has expired", async ({ store }) => {
      const { row } = await commit(store, created());
      expect(await store.commit(created({ id: row.id }))).toEqual({ kind: "taken" });
      await store.expireTask(row.id);
      expect(await store.readTask(row.id)).toBe("expired");
      expect(await store.commit(created({ id: row.id }))).toEqual({ kind: "taken" });
      expect((await store.readMilestones({ of: { taskIds: [row.id] }, ...everything })).milestones).toEqual(
        [],
      );
    });

    promise(
      "history is read in pages, in order, across the tasks named or those of a batch",
      async ({ store }) => {
        const batchId = "b" as BatchId;
        const one = await commit(store, created({ batchId }));
        const two = await commit(store, created({ batchId }));
        await commit(store, created());
        await commit(store, change(one.row, "stage"));
        await commit(store, change(two.row, "complete"));
        for (const of of [{ batchId }, { taskIds: [one.row.id, two.row.id] }]) {
          const first = await store.readMilestones({ of, after: 0, limit: 3, endingsOnlyUpTo: 0 });
          expect(first.milestones.map(({ event }) => event)).toEqual(["status", "status", "stage"]);
          expect(first.done).toBe(false);
          const after = first.milestones.at(-1)?.position ?? 0;
          const rest = await store.readMilestones({ of, after, limit: 3, endingsOnlyUpTo: 0 });
          expect(rest.milestones.map(({ event, ending }) => [event, ending])).toEqual([["complete", true]]);
          expect(rest.done).toBe(true);
        }
      },
    );

    promise("a late joiner reads only the endings of what is old", async ({ store }) => {
      const { row } = await commit(store, created());
      const ended = await commit(store, change(row, "stage", "complete"));
      const page = await store.readMilestones({
        of: { taskIds: [row.id] },
        after: 0,
        limit: 10,
        endingsOnlyUpTo: ended.row.position,
      });
      expect(page.milestones.map(({ event }) => event)).toEqual(["complete"]);
    });

    promise(
      "a cursor is found again; one of another store, of the future or malformed is not",
      async ({ store }) => {
        const { row } = await commit(store, created());
        expect(await store.locate(row.cursor)).toBe(row.position);
        const [, ms] = row.cursor.split("-");
        expect(await store.locate(`zz-${ms}-${row.position}`)).toBeUndefined();
        // Given out before a backup was put back: the same place, another time.
        expect(await store.locate(`${store.epoch}-${Number(ms) + 1}-${row.position}`)).toBeUndefined();
        expect(await store.locate(`${store.epoch}-${ms}-${row.position + 1}`)).toBeUndefined();
        for (const text of ["", "x", "a-b-c", `${row.cursor}-1`, "-1", "🐟"]) {
          expect(await store.locate(text)).toBeUndefined();
        }
      },
    );

    promise("the time in cursors never goes back, also when the clock does", async ({ store, now }) => {
      now.ms = 5_000_000;
      const first = await commit(store, created());
      now.ms -= 3_600_000;
      const second = await commit(store, created());
      const ms = (cursor: string): number => Number(cursor.split("-")[1]);
      expect(ms(second.row.cursor)).toBeGreaterThanOrEqual(ms(first.row.cursor));
    });

    promise("progress is saved for the version it belongs to and for no other", async ({ store }) => {
      const { row } = await commit(store, created());
      await store.saveProgress([{ ...row, done: 5, rev: 9 }]);
      expect(await store.readTask(row.id)).toMatchObject({ done: 5, rev: 9 });
      await store.saveProgress([{ ...row, version: 99, done: 7 }]);
      expect(await store.readTask(row.id)).toMatchObject({ done: 5 });
    });

    promise("lists are filtered and paged in order of creation", async ({ store }) => {
      const batchId = "b" as BatchId;
      const ids: TaskId[] = [];
      for (let i = 0; i < 5; i += 1) {
        ids.push((await commit(store, created(i % 2 === 0 ? { batchId } : {}))).row.id);
      }
      const page = await store.listTasks({ limit: 2 });
      expect(page.map(({ id }) => id)).toEqual(ids.slice(0, 2));
      const next = await store.listTasks({ limit: 9, after: ids[1] });
      expect(next.map(({ id }) => id)).toEqual(ids.slice(2));
      expect(await store.listTasks({ limit: 9, after: "nobody" as TaskId })).toEqual([]);
      expect(await store.listTasks({ limit: 9, batchId })).toHaveLength(3);
      expect(await store.listTasks({ limit: 9, kind: "task" })).toHaveLength(0);
      expect(await store.listTasks({ limit: 9, status: "pending" })).toHaveLength(5);
    });

    promise("what is due is found, soonest first, and moves with progress", async ({ store }) => {
      const late = await commit(store, created({ dueAtMs: 200 }));
      const soon = await commit(store, created({ dueAtMs: 100 }));
      await commit(store, created({ dueAtMs: null }));
      expect((await store.listDue(200, 9)).map(({ id }) => id)).toEqual([soon.row.id, late.row.id]);
      await store.saveProgress([{ ...soon.row, dueAtMs: 900 }]);
      expect((await store.listDue(200, 9)).map(({ id }) => id)).toEqual([late.row.id]);
    });

    promise(
      "an idempotency key is committed once and answers with what its commit left",
      async ({ store }) => {
        const { row } = await commit(store, created());
        const idempotency = { key: "k", fingerprint: "f" };
        const first = await commit(store, { ...change(row, "stage"), idempotency });
        const before = { ...idempotency, cursor: first.row.cursor, status: first.row.status };
        const another = { key: "k", fingerprint: "g" };
        for (const again of [change(first.row, "stage"), change(row, "stage")])
          for (const asked of [idempotency, another])
            expect(await store.commit({ ...again, idempotency: asked })).toEqual({
              kind: "repeated",
              before,
            });
        expect(await store.readIdempotency("k")).toMatchObject({
          fingerprint: "f",
          cursor: first.row.cursor,
        });
        expect(await store.readIdempotency("other")).toBeUndefined();
      },
    );

    promise("batches that are old and empty are forgotten, the others are not", async ({ store }) => {
      const batch = (id: string, createdAtMs: number): BatchRow => ({
        id: id as BatchId,
        closed: false,
        end: null,
        metadata: {},
        createdAtMs,
      });
      for (const one of [batch("old", 1), batch("older", 0), batch("used", 1), batch("new", 9)])
        await store.createBatch(one);
      await commit(store, created({ batchId: "used" as BatchId }));
      expect(await store.expireBatches(9, 1)).toBe(true);
      await store.expireBatches(9, 9);
      const left = [];
      for (const id of ["old", "older", "used", "new"])
        if ((await store.readBatch(id as BatchId)) !== undefined) left.push(id);
      expect(left).toEqual(["used", "new"]);
    });

    promise("a batch that was closed in the same turn takes no task", async ({ store }) => {
      const id = "b" as BatchId;
      await store.createBatch({ id, closed: false, end: null, metadata: {}, createdAtMs: 1 });
      const [first, , late] = await Promise.all([
        store.commit(created({ batchId: id })),
        store.closeBatch(id),
        store.commit(created({ batchId: id })),
      ]);
      // Whichever came first: what was taken was taken before the closing.
      expect(late).toEqual({ kind: "closed" });
      expect(await store.listTasks({ limit: 9, batchId: id })).toHaveLength(
        first.kind === "committed" ? 1 : 0,
      );
      expect(await store.commit(created({ batchId: id }))).toEqual({ kind: "closed" });
    });

    promise("a batch is created once and stays closed", async ({ store }) => {
      const batch = { id: "b" as BatchId, closed: false, end: null, metadata: { a: 1 }, createdAtMs: 1 };
      expect(await store.createBatch(batch)).toEqual({ row: batch, created: true });
      await store.closeBatch(batch.id);
      const again = await store.createBatch(batch);
      expect(again).toMatchObject({ row: { ...batch, closed: true, end: {} }, created: false });
      expect(await store.closeBatch("none" as BatchId)).toBeUndefined();
    });

    promise(
      "a batch ends with the last ending once it is closed, in the same commit and behind it, and once",
      async ({ store }) => {
        const id = "b" as BatchId;
        const heard: unknown[] = [];
        store.subscribe(({ milestones }) => heard.push(...milestones.map(({ position }) => position)));
        store.onBatchEnd((batchId, { position }) => heard.push([batchId, position]));
        await store.createBatch({ id, closed: false, end: null, metadata: {}, createdAtMs: 1 });
        const one = await commit(store, created({ batchId: id }));
        const two = await commit(store, created({ batchId: id }));
        await commit(store, change({ ...one.row, status: "completed" }, "complete"));
        expect(await store.closeBatch(id)).toMatchObject({ closed: true, end: null });
        const last = await commit(store, change({ ...two.row, status: "failed" }, "complete"));
        const { position } = last.row;
        const row = await store.readBatch(id);
        expect(row).toMatchObject({
          end: { before: { position, cursor: last.row.cursor }, mark: { position: position + 1 } },
        });
        expect(heard.slice(-2)).toEqual([position, [id, position + 1]]);
        expect(await store.newest()).toEqual(row?.end?.mark);
        expect(await store.locate(row?.end?.mark.cursor ?? "")).toBe(position + 1);
        const read = { of: { batchId: id }, after: position, limit: 9, endingsOnlyUpTo: 1_000 };
        const { milestones, done } = await store.readMilestones(read);
        expect([milestones, done]).toMatchObject([
          [{ taskId: null, event: "batchComplete", ending: true, position: position + 1 }],
          true,
        ]);
        expect(JSON.parse(milestones[0]?.data ?? "")).toMatchObject({
          batchId: id,
          tasks: 2,
          completed: 1,
          failed: 1,
          cancelled: 0,
        });
        expect(await store.closeBatch(id)).toEqual(row);
        // It is nobody's but the batch's.
        const ofTasks = { ...read, of: { taskIds: [one.row.id, two.row.id] } };
        expect((await store.readMilestones(ofTasks)).milestones).toEqual([]);
        expect(heard).toHaveLength(5);
      },
    );

    promise("a batch that is closed when all have ended, or empty, ends then", async ({ store, now }) => {
      const [full, empty] = ["full" as BatchId, "empty" as BatchId];
      for (const id of [full, empty])
        await store.createBatch({ id, closed: false, end: null, metadata: {}, createdAtMs: 1 });
      const { row } = await commit(store, created({ batchId: full }));
      const ended = await commit(store, change({ ...row, status: "cancelled" }, "complete"));
      const { position } = ended.row;
      expect((await store.closeBatch(full))?.end?.mark.position).toBe(position + 1);
      expect((await store.closeBatch(empty))?.end?.mark.position).toBe(position + 2);
      await commit(store, created());
      // It is held as long as the batch, and then the gap says that it is gone.
      await store.trimMilestones(now.ms + 1, 100);
      const read = { of: { batchId: empty }, ...everything };
      expect((await store.readMilestones(read)).milestones).toHaveLength(1);
      await store.expireBatches(2, 9);
      expect(await store.readMilestones(read)).toMatchObject({
        milestones: [],
        trimmed: { position: position + 2 },
      });
    });

    test("whatever is let go of, a page says so, and holds the rest in order", async () => {
      await holdsHistory(open, 30);
      // Each commit is synced to disk: minutes on a slow one that others use too.
    }, 120_000);

    promise("of a task the newest are held, and its ending as long as the task", async () => {
      const under = await open(3);
      const { store, now } = under;
      const { row } = await commit(store, created({ batchId: "b" as BatchId }));
      const many = await commit(store, change(row, ...Array.from({ length: 10 }, (_, index) => `e${index}`)));
      const ended = await commit(store, change(many.row, "complete"));
      const later = await commit(store, created());
      const of = { taskIds: [row.id] };
      const held = async (): Promise<unknown> => {
        const { milestones, trimmed } = await store.readMilestones({ of, ...everything });
        return [milestones.map(({ event }) => event), trimmed?.position];
      };
      expect(await held()).toEqual([["e7", "e8", "e9", "complete"], many.milestones[6]?.position]);
      now.ms += 1_000;
      expect(await store.trimMilestones(now.ms, 100)).toBe(false);
      expect(await held()).toEqual([["complete"], many.milestones[9]?.position]);
      // The newest of all is held however old it is: from there positions go on.
      expect(
        (await store.readMilestones({ of: { taskIds: [later.row.id] }, ...everything })).milestones,
      ).toHaveLength(1);
      await store.expireTask(row.id);
      expect(await store.readTrimmed({ batchId: "b" as BatchId })).toEqual({
        cursor: ended.row.cursor,
        position: ended.row.position,
      });
      await under.release();
    });

    promise(
      "who was sent an ending is known as long as the task, and of no task that is gone",
      async ({ store }) => {
        const { row } = await commit(store, created());
        const other = await commit(store, created());
        const entry = (taskId: TaskId, connectionId: string, isNew: boolean): DeliveryEntry => ({
          taskId,
          isNew,
          delivery: {
            connectionId,
            transport: "sse",
            outcome: "sent",
            openedAtMs: 1,
            sentAtMs: 2,
            closedAtMs: isNew ? null : 3,
            flushed: null,
            reason: null,
          },
        });
        expect(await store.readDeliveries(row.id)).toEqual({ sent: 0, acknowledged: 0, items: [] });
        await store.recordDeliveries([
          entry(row.id, "a", true),
          entry(other.row.id, "a", true),
          entry(row.id, "b", true),
          entry("nobody" as TaskId, "a", true),
        ]);
        await store.recordDeliveries([entry(row.id, "a", false)]);
        const log = await store.readDeliveries(row.id);
        expect([
          log.sent,
          log.items.map(({ connectionId, closedAtMs }) => [connectionId, closedAtMs]),
        ]).toEqual([
          2,
          [
            ["b", null],
            ["a", 3],
          ],
        ]);
        await store.expireTask(row.id);
        await store.recordDeliveries([entry(row.id, "c", true)]);
        for (const id of [row.id, "nobody" as TaskId]) expect((await store.readDeliveries(id)).sent).toBe(0);
        expect((await store.readDeliveries(other.row.id)).sent).toBe(1);
      },
    );

    promise("an upload that lacks bytes is found on start", async ({ store }) => {
      const { row } = await commit(store, created());
      const ended = await commit(store, created());
      await commit(store, change({ ...ended.row, status: "completed" }, "complete"));
      expect((await store.listReceiving()).map(({ id }) => id)).toEqual([row.id]);
    });
  });
}
