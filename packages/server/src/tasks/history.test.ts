/**
 * Streams over a store that lets go of history: what is missing is said, and what is held comes.
 */
import type { BatchId, TaskId } from "@holdfast/protocol";
import { PaperSink } from "@holdfast/stream/testing";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HISTORY_MS, idOf, Service, settled, type Watching } from "../testing/service.js";

const PER_TASK = 4;
const BATCH = "b" as BatchId;
let service: Service;

beforeEach(() => {
  service = new Service(PER_TASK);
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
});

async function publish(id: TaskId, name: string): Promise<string> {
  const report = { type: "custom", name, data: null } as const;
  return (await service.tasks.command(id, { type: "report", report })).cursor;
}

async function complete(id: TaskId): Promise<string> {
  const report = { type: "complete", result: null } as const;
  return (await service.tasks.command(id, { type: "report", report })).cursor;
}

/** Names of the milestones on the stream. */
function milestones({ sink }: Watching): string[] {
  const at = sink.frames.map((frame, index) => (idOf(frame) === undefined ? "" : (sink.events[index] ?? "")));
  return at.filter((event) => event !== "" && event !== "connected" && event !== "gap");
}

test("a cursor older than what is held gets the gap, its snapshot, what is held after it, and the ending", async () => {
  const { id, cursor } = await service.job();
  const cursors: string[] = [];
  for (let i = 0; i < 10; i += 1) cursors.push(await publish(id, `e${i}`));
  const old = await service.watch(id, cursor);
  expect(old.sink.events.slice(0, 2)).toEqual(["connected", "gap"]);
  expect(old.sink.data("connected")[0]).toMatchObject({
    cursor,
    resumed: true,
    task: { status: "processing" },
  });
  expect(old.sink.data("gap")).toEqual([{ taskId: id, from: cursor, to: cursors[5] }]);
  expect(idOf(old.sink.frames[1])).toBe(cursors[5]);
  expect(milestones(old)).toEqual(["e6", "e7", "e8", "e9"]);
  await complete(id);
  await settled();
  expect(milestones(old).at(-1)).toBe("complete");
  expect(old.sink.ended).toBe(true);
  // Whoever was at the last one that is gone lacks nothing.
  const whole = await service.watch(id, cursors[5]);
  expect(whole.sink.data("gap")).toEqual([]);
  expect(milestones(whole)).toEqual(["e6", "e7", "e8", "e9", "complete"]);
});

test("history goes with time, the ending stays as long as its task, and a late joiner is told of no gap", async () => {
  const { id, cursor } = await service.job();
  const last = await publish(id, "e0");
  await complete(id);
  await service.job(); // something newer: the newest of all is always held
  service.clock.nowMs += HISTORY_MS + 1;
  await service.deadlines.look();
  const resumed = await service.watch(id, cursor);
  expect(resumed.sink.data("gap")).toEqual([{ taskId: id, from: cursor, to: last }]);
  expect(milestones(resumed)).toEqual(["complete"]);
  const late = await service.watch(id);
  expect(late.sink.events).toEqual(["connected", "complete"]);
  const lateToMany = await service.watchMany([id]);
  expect(lateToMany.sink.events).toEqual(["connected", "snapshot", "complete", "batchComplete"]);
});

test("a task that was removed with its ending leaves a gap in the stream of its batch", async () => {
  const first = await service.job({ batchId: BATCH });
  const cursor = first.cursor;
  const ending = await complete(first.id);
  await service.job({ batchId: BATCH });
  await service.tasks.expire(first.id);
  const resumed = await service.watchBatch(BATCH, cursor);
  expect(resumed.sink.data("gap")).toEqual([{ taskId: null, from: cursor, to: ending }]);
});

test("a gap that nothing held lies before is told once, by stream as by poll, also when the connection dies right behind it", async () => {
  const first = await service.job({ batchId: BATCH });
  const second = await service.job({ batchId: BATCH });
  const { cursor } = first;
  const lost = await publish(second.id, "e0");
  await service.job();
  service.clock.nowMs += HISTORY_MS + 1;
  await service.store.trimMilestones(service.clock.nowMs - HISTORY_MS, 1_000);
  for (const poll of [undefined, { waitMs: 60_000, rev: undefined }]) {
    const told = await service.watchBatch(BATCH, cursor, poll);
    expect(told.sink.data("gap")).toEqual([{ taskId: null, from: cursor, to: lost }]);
    const ids = told.sink.frames.flatMap((frame) => idOf(frame) ?? []);
    expect(ids).toEqual([cursor, lost]);
    told.sink.destroy();
    const again = await service.watchBatch(BATCH, ids.at(-1), poll);
    expect(again.sink.data("gap")).toEqual([]);
    expect(again.sink.data("connected")).toMatchObject([{ cursor: lost, resumed: true }]);
    again.sink.destroy();
  }
  // The heartbeat says the cursor that the client now has.
  const beating = await service.watchBatch(BATCH, cursor, { waitMs: 0, rev: undefined });
  while (!beating.sink.ended) await settled();
  expect(beating.sink.data("heartbeat")).toMatchObject([{ cursor: lost }]);
});

test("what is held before the end of a gap still comes, and leaves the cursor where it was", async () => {
  const kept = await service.job({ batchId: BATCH });
  const busy = await service.job({ batchId: BATCH });
  await service.tasks.command(kept.id, { type: "begin", oneShot: false });
  const { cursor } = await service.tasks.read(kept.id);
  const ending = await complete(kept.id);
  const cursors: string[] = [];
  for (let i = 0; i < 10; i += 1) cursors.push(await publish(busy.id, `e${i}`));
  const { sink } = await service.watchBatch(BATCH, cursor);
  expect(sink.data("gap")).toEqual([{ taskId: null, from: cursor, to: cursors[5] }]);
  expect(sink.frames.flatMap((frame) => idOf(frame) ?? [])).toEqual([cursor, ending, ...cursors.slice(6)]);
});

test("what goes while a slow reader takes the snapshots of a gap is told by another, and the stream goes on to its end", async () => {
  const [quiet, busy, removed] = [
    await service.job({ batchId: BATCH }),
    await service.job({ batchId: BATCH }),
    await service.job({ batchId: BATCH }),
  ];
  await service.batches.close(BATCH);
  const lost = await publish(busy.id, "e0");
  service.clock.nowMs += HISTORY_MS + 1;
  await complete(removed.id);
  const late = await publish(busy.id, "e1");
  await service.store.trimMilestones(service.clock.nowMs - HISTORY_MS, 1_000);
  const sink = new PaperSink();
  sink.stalled = true;
  await service.streams.openBatch(BATCH, {
    connection: { id: "slow", transport: "sse" },
    lastEventId: quiet.cursor,
    poll: undefined,
    sink: () => sink,
    expiresAtMs: null,
    onClose: () => undefined,
  });
  await settled();
  expect(sink.events).toEqual(["connected", "gap", "snapshot"]);
  await service.tasks.expire(removed.id);
  service.clock.nowMs += HISTORY_MS + 1;
  const last = await complete(busy.id);
  await service.store.trimMilestones(service.clock.nowMs - HISTORY_MS, 1_000);
  sink.read();
  await settled();
  expect(sink.data("gap")).toEqual([
    { taskId: null, from: quiet.cursor, to: lost },
    { taskId: null, from: lost, to: late },
  ]);
  expect(sink.data("snapshot")).toHaveLength(3);
  expect(sink.ended).toBe(false);
  await complete(quiet.id);
  await settled();
  expect(sink.events.slice(-2)).toEqual(["complete", "batchComplete"]);
  // Of those that the store holds: one has gone.
  expect(sink.data("batchComplete")).toMatchObject([{ tasks: 2, completed: 2 }]);
  expect(sink.frames.flatMap((frame) => idOf(frame) ?? []).slice(0, 4)).toEqual([
    quiet.cursor,
    lost,
    late,
    last,
  ]);
});

test("what came and went while a slow reader took the snapshots is told by fresh ones, pulled as it reads, and the stream goes on", async () => {
  const quiet = await service.job({ batchId: BATCH });
  const changed: TaskId[] = [];
  for (let i = 0; i < 20; i += 1)
    changed.push((await service.job({ batchId: BATCH, metadata: { text: "x".repeat(10_000) } })).id);
  for (const many of ["batch", "named"] as const) {
    const cursor = await publish(quiet.id, "e");
    const ids = [quiet.id, ...changed];
    const sink = new PaperSink();
    sink.stalled = true;
    const asked = {
      connection: { id: many, transport: "sse" as const },
      lastEventId: cursor,
      poll: undefined,
      sink: () => sink,
      expiresAtMs: null,
      onClose: () => undefined,
    };
    if (many === "batch") await service.streams.openBatch(BATCH, asked);
    else await service.streams.openMany(ids, asked);
    await settled();
    expect(sink.events).toEqual(["connected", "snapshot"]);
    for (const id of changed) await publish(id, `first-${many}`);
    const added = await service.job(many === "batch" ? { batchId: BATCH } : {});
    const lost = await publish(added.id, "e0");
    service.clock.nowMs += HISTORY_MS + 1;
    await service.job(); // something newer: the newest of all is always held
    await service.store.trimMilestones(service.clock.nowMs - HISTORY_MS, 1_000);
    let most = 0;
    for (let turn = 0; turn < 100 && (turn < 5 || sink.queuedBytes > 0); turn += 1) {
      sink.read();
      sink.stalled = true;
      await settled();
      most = Math.max(most, sink.queuedBytes);
    }
    expect(most).toBeLessThan(65_536);
    expect(sink.ended).toBe(false);
    const shown = sink.data("snapshot").map(({ task }) => (task as { id: TaskId }).id);
    expect(shown).toEqual([...ids, ...changed, ...(many === "batch" ? [added.id] : [])]);
    const gap = sink.data("gap")[0];
    if (many === "batch") expect(gap).toEqual({ taskId: null, from: cursor, to: lost });
    // Who is cut between the gap and what stands for it begins with all snapshots.
    const id = idOf(sink.frames.find((frame) => frame.includes("event: gap\n")));
    expect(id).toBe(gap?.["to"]);
    sink.destroy();
    const again = many === "batch" ? await service.watchBatch(BATCH, id) : await service.watchMany(ids, id);
    expect(again.sink.data("gap")).toEqual([]);
    expect(again.sink.data("snapshot").length).toBeGreaterThanOrEqual(ids.length);
    again.sink.destroy();
  }
});

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("publish" as const), task: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), task: fc.nat(2) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("pass" as const), share: fc.integer({ min: 1, max: 100 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("resume" as const),
      at: fc.nat(40),
      of: fc.constantFrom("one", "many", "batch"),
    }),
  },
);

test("from any cursor ever sent come exactly the milestones that are held after it, and a gap exactly where one is not", async () => {
  let gaps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60 }), async (steps) => {
      await service.close();
      service = new Service(PER_TASK);
      const ids: TaskId[] = [];
      const sent: { readonly id: TaskId; readonly name: string; readonly cursor: string }[] = [];
      for (let task = 0; task < 3; task += 1) {
        const row = await service.job({ batchId: BATCH });
        ids.push(row.id);
        sent.push({ id: row.id, name: "status", cursor: row.cursor });
        const { cursor } = await service.tasks.command(row.id, { type: "begin", oneShot: false });
        sent.push({ id: row.id, name: "status", cursor });
      }
      const over = new Set<TaskId>();
      for (const [index, one] of steps.entries()) {
        if (one.do === "pass") {
          service.clock.nowMs += (HISTORY_MS * one.share) / 100;
          await service.store.trimMilestones(service.clock.nowMs - HISTORY_MS, 1_000);
          continue;
        }
        if (one.do === "resume") {
          const from = one.at % sent.length;
          const cursor = sent[from]?.cursor ?? "";
          const first = ids[0] as TaskId;
          const carried = one.of === "one" ? [first] : ids;
          const held = await service.store.readMilestones({
            of: { taskIds: carried },
            after: 0,
            limit: 1_000,
            endingsOnlyUpTo: 0,
          });
          const heldCursors = new Set<string>(held.milestones.map((milestone) => milestone.cursor));
          const wanted = sent.slice(from + 1).filter(({ id }) => carried.includes(id));
          const watching =
            one.of === "one"
              ? await service.watch(first, cursor)
              : one.of === "many"
                ? await service.watchMany(ids, cursor)
                : await service.watchBatch(BATCH, cursor);
          if (watching.outcome === "no-content") {
            expect(wanted).toEqual([]);
            continue;
          }
          const frames = watching.sink.frames;
          const isGap = (frame: string): boolean => frame.includes("event: gap\n");
          const got = frames.flatMap((frame) => (isGap(frame) ? [] : (idOf(frame) ?? []))).slice(1);
          expect(got).toEqual(
            wanted.flatMap((milestone) => (heldCursors.has(milestone.cursor) ? milestone.cursor : [])),
          );
          const lost = wanted.findLast((milestone) => !heldCursors.has(milestone.cursor));
          const gap = { taskId: one.of === "one" ? first : null, from: cursor, to: lost?.cursor };
          expect(watching.sink.data("gap")).toEqual(lost === undefined ? [] : [gap]);
          watching.sink.destroy();
          if (lost === undefined) continue;
          gaps += 1;
          // Once told, a gap is past, unless something that is held lies before its end.
          const before = wanted
            .slice(0, wanted.indexOf(lost))
            .some((milestone) => heldCursors.has(milestone.cursor));
          expect(idOf(frames.find(isGap))).toBe(before ? undefined : lost.cursor);
          continue;
        }
        const id = ids[one.task] as TaskId;
        if (over.has(id)) continue;
        const name = one.do === "end" ? "complete" : `e${index}`;
        const cursor = one.do === "end" ? await complete(id) : await publish(id, name);
        if (one.do === "end") over.add(id);
        sent.push({ id, name, cursor });
      }
    }),
    { numRuns: 150 },
  );
  expect(gaps).toBeGreaterThan(0);
});
