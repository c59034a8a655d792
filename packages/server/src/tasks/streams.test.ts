import type { BatchId, TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { idOf, Service, settled, type Watching } from "../testing/service.js";

let service: Service;

beforeEach(() => {
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
});

test("a stream begins with connected and the whole task, then follows it to its ending and ends", async () => {
  const { id } = await service.upload();
  const { sink, reports } = await service.watch(id);
  await service.receive(id, 40);
  await service.receive(id, 100);
  await settled();
  expect(sink.events[0]).toBe("connected");
  expect(sink.frames[0]).toContain("retry: 1000\n");
  expect(sink.data("connected")[0]).toMatchObject({
    taskId: id,
    resumed: false,
    heartbeatMs: 10_000,
    task: { id, status: "pending" },
  });
  expect(sink.events.at(-1)).toBe("complete");
  expect(sink.events.filter((event) => event === "complete")).toHaveLength(1);
  expect(sink.data("status").map(({ status }) => status)).toEqual(["uploading"]);
  expect(sink.ended).toBe(true);
  expect(reports).toMatchObject([{ reason: "completed" }]);
  expect(service.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
});

test("ids are on milestones and on connected, nowhere else", async () => {
  const { id } = await service.upload();
  const { sink } = await service.watch(id);
  await service.receive(id, 40);
  await service.receive(id, 100);
  await settled();
  for (const frame of sink.frames) {
    const event = /^event: (.*)$/m.exec(frame)?.[1] ?? "";
    expect(idOf(frame) !== undefined).toBe(["connected", "status", "complete"].includes(event));
  }
});

test("who comes late gets the snapshot and the ending, and nothing else that is old", async () => {
  const { id } = await service.upload();
  await service.receive(id);
  const { sink } = await service.watch(id);
  expect(sink.events).toEqual(["connected", "complete"]);
  expect(sink.data("connected")[0]).toMatchObject({ task: { status: "completed", percentage: 100 } });
  expect(sink.ended).toBe(true);
});

test("a link that drops between connected and the ending does not lose the ending", async () => {
  const { id } = await service.upload();
  await service.receive(id);
  const { sink } = await service.watch(id);
  const again = await service.watch(id, idOf(sink.frames[0]));
  expect(again.outcome).toBe("stream");
  expect(again.sink.events).toEqual(["connected", "complete"]);
});

test("whoever has seen the ending is answered without a stream", async () => {
  const { id } = await service.upload();
  await service.receive(id);
  const { sink } = await service.watch(id);
  const again = await service.watch(id, idOf(sink.frames.at(-1)));
  expect(again.outcome).toBe("no-content");
  expect(again.sink.frames).toEqual([]);
});

test("a cursor resumes with exactly the milestones after it", async () => {
  const { id } = await service.upload();
  const first = await service.watch(id);
  await service.receive(id, 10);
  await settled();
  const seen = first.sink.frames.map(idOf).findLast((text) => text !== undefined);
  first.sink.destroy();
  await service.receive(id, 100);
  const { sink } = await service.watch(id, seen);
  expect(sink.events).toEqual(["connected", "complete"]);
  expect(sink.data("connected")[0]).toMatchObject({ resumed: true, cursor: seen });
});

test("a cursor of another store, of the future or of nobody gets a gap and the snapshot, never silence", async () => {
  const { id, cursor } = await service.upload();
  const future = cursor.replace(/\d+$/, "999999");
  for (const from of ["deadbeef-1700000000000-1", future, "nonsense", "x".repeat(70_000), "日本\0"]) {
    const { sink, outcome } = await service.watch(id, from);
    expect(outcome).toBe("stream");
    expect(sink.events).toEqual(["connected", "gap"]);
    expect(sink.data("gap")[0]).toEqual({ taskId: id, from: from.slice(0, 128), to: cursor });
    sink.destroy();
  }
  await service.receive(id);
  const late = await service.watch(id, future);
  expect(late.sink.events).toEqual(["connected", "gap", "complete"]);
});

test("who is cut anywhere behind a foreign cursor has one of ours from connected on, and lacks nothing when it comes back", async () => {
  const batchId = "b" as BatchId;
  const ended = await service.upload({ batchId });
  const open = await service.upload({ batchId });
  await service.receive(ended.id);
  const foreign = "deadbeef-1700000000000-1";
  for (const of of ["one", "many", "batch"] as const) {
    const watch = async (cursor: string | undefined): Promise<Watching> =>
      of === "one"
        ? await service.watch(ended.id, cursor)
        : of === "many"
          ? await service.watchMany([ended.id, open.id], cursor)
          : await service.watchBatch(batchId, cursor);
    const whole = await watch(foreign);
    expect(whole.sink.events.slice(0, 2)).toEqual(["connected", "gap"]);
    const { frames, events } = whole.sink;
    for (let cut = 1; cut <= events.indexOf("complete"); cut += 1) {
      const ids = frames.slice(0, cut).flatMap((frame) => idOf(frame) ?? []);
      const again = await watch(ids.at(-1));
      expect(again.sink.data("connected")[0]).toMatchObject({ resumed: true });
      const wanted = events.filter((event) => event === "snapshot" || event === "complete");
      expect(again.sink.events.filter((event) => event === "snapshot" || event === "complete")).toEqual(
        wanted,
      );
      again.sink.destroy();
    }
    whole.sink.destroy();
  }
});

test("an unknown task is refused before any byte", async () => {
  await expect(service.watch("none" as TaskId)).rejects.toMatchObject({ code: "TASK_NOT_FOUND" });
});

test("status, snapshot and stream agree at every moment", async () => {
  const { id } = await service.upload();
  const { sink } = await service.watch(id);
  const hold = await service.tasks.hold(id);
  await service.tasks.command(id, { type: "begin", oneShot: false });
  for (const done of [10, 5, 20, 300, 30]) {
    hold.stored(done);
    const shown = service.tasks.toWire(hold.row);
    expect(sink.data("progress").at(-1)).toMatchObject({
      done: shown.done,
      percentage: shown.percentage,
      rev: shown.rev,
    });
    const other = await service.watch(id);
    expect(other.sink.data("connected")[0]).toMatchObject({
      task: { done: shown.done, percentage: shown.percentage },
    });
    other.sink.destroy();
  }
  expect(sink.data("progress").map(({ done }) => done)).toEqual([0, 10, 10, 20, 100, 100]);
  expect(hold.row.done).toBe(100);
  expect(service.tasks.toWire(hold.row).percentage).toBe(99.9);
  hold.release();
});

test("a batch is one stream for all its tasks, those added later included, and ends when it is closed and all have ended", async () => {
  const batchId = "b" as BatchId;
  const one = await service.upload({ batchId });
  const { sink, reports } = await service.watchBatch(batchId);
  expect(sink.events).toEqual(["connected", "snapshot", "batch"]);
  const two = await service.upload({ batchId });
  await service.receive(two.id);
  await service.receive(one.id);
  await settled();
  expect(sink.ended).toBe(false);
  expect(sink.data("snapshot").map(({ task }) => (task as { id: string }).id)).toEqual([one.id, two.id]);
  expect(sink.data("batch").at(-1)).toMatchObject({
    tasks: 2,
    completed: 2,
    uploaded: 200,
    total: 200,
    percentage: 100,
  });
  await service.batches.close(batchId);
  expect(sink.events.at(-1)).toBe("batchComplete");
  expect(sink.data("batchComplete")[0]).toMatchObject({ batchId, tasks: 2, completed: 2, failed: 0 });
  expect(sink.data("batch").at(-1)).toMatchObject({ completed: 2, percentage: 100 });
  expect(reports).toMatchObject([{ reason: "completed" }]);
  const again = await service.watchBatch(
    batchId,
    sink.frames.map(idOf).findLast((text) => text !== undefined),
  );
  expect(again.outcome).toBe("no-content");
});

test("who was cut between the last ending and batchComplete is told of it, and only then answered without a stream", async () => {
  const batchId = "b" as BatchId;
  const { id } = await service.upload({ batchId });
  const whole = await service.watchBatch(batchId);
  await service.batches.close(batchId);
  await service.receive(id);
  await settled();
  expect(whole.sink.events.slice(-2)).toEqual(["complete", "batchComplete"]);
  const [ending, end] = whole.sink.frames.slice(-2).map(idOf);
  for (const poll of [undefined, { waitMs: 60_000, rev: undefined }]) {
    const cut = await service.watchBatch(batchId, ending, poll);
    expect(cut.sink.events.filter((event) => event !== "batch")).toEqual([
      "connected",
      "snapshot",
      "batchComplete",
    ]);
    expect(idOf(cut.sink.frames.at(-1))).toBe(end);
    expect(cut.sink.ended).toBe(true);
    expect((await service.watchBatch(batchId, end, poll)).outcome).toBe("no-content");
  }
});

test("who comes late to a batch that ended is told so, also when it was empty, and by a foreign cursor", async () => {
  const [full, empty] = ["full" as BatchId, "empty" as BatchId];
  const { id } = await service.upload({ batchId: full });
  await service.receive(id);
  await service.batches.create({ id: empty, metadata: {} });
  for (const batchId of [full, empty]) await service.batches.close(batchId);
  await service.upload();
  for (const batchId of [full, empty]) {
    for (const cursor of [undefined, "nonsense"]) {
      const { sink } = await service.watchBatch(batchId, cursor);
      expect(sink.events.at(-1)).toBe("batchComplete");
      const cut = await service.watchBatch(batchId, idOf(sink.frames[0]));
      expect(cut.sink.events.at(-1)).toBe("batchComplete");
      expect((await service.watchBatch(batchId, idOf(sink.frames.at(-1)))).outcome).toBe("no-content");
    }
  }
});

test("a late joiner of a batch gets every snapshot and every ending", async () => {
  const batchId = "b" as BatchId;
  const rows = await Promise.all(Array.from({ length: 150 }, async () => await service.upload({ batchId })));
  for (const row of rows) {
    if (row !== rows[7]) await service.receive(row.id);
  }
  const { sink } = await service.watchBatch(batchId);
  await settled();
  expect(sink.data("snapshot")).toHaveLength(150);
  expect(sink.data("complete")).toHaveLength(149);
  expect(sink.data("status")).toHaveLength(0);
});

test("named tasks come on one connection; unknown ones are said, and it ends after the last ending", async () => {
  const one = await service.upload();
  const two = await service.job();
  const { sink } = await service.watchMany([one.id, "none", two.id, one.id, "../x"]);
  expect(sink.events).toEqual(["connected", "unavailable", "unavailable", "snapshot", "snapshot"]);
  await service.receive(one.id);
  await service.tasks.command(two.id, { type: "cancel", reason: "asked" });
  await settled();
  expect(sink.events.slice(-2)).toEqual(["cancelled", "batchComplete"]);
  expect(sink.ended).toBe(true);
  const again = await service.watchMany(
    [one.id, two.id],
    sink.frames.map(idOf).findLast((text) => text !== undefined),
  );
  expect(again.outcome).toBe("no-content");
});

test("one cursor resumes many tasks with nothing lost or repeated, wherever the link is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ task: fc.nat(3), cut: fc.boolean(), add: fc.boolean() }), {
        minLength: 1,
        maxLength: 25,
      }),
      async (steps) => {
        const world = new Service();
        const batchId = "b" as BatchId;
        const ids = [(await world.job({ batchId })).id];
        const stored: string[] = [];
        world.store.subscribe(({ milestones }) => stored.push(...milestones.map(({ cursor }) => cursor)));
        const got: string[] = [];
        let cursor: string | undefined;
        let watching = await world.watchBatch(batchId);
        const take = (): void => {
          for (const frame of watching.sink.frames) {
            const id = idOf(frame);
            if (id === undefined) continue;
            cursor = id;
            if (!frame.includes("event: connected\n")) got.push(id);
          }
        };
        for (const { task, cut, add } of steps) {
          if (add) ids.push((await world.job({ batchId })).id);
          const id = ids[task % ids.length];
          if (id !== undefined) {
            const report = { type: "custom", name: "note", data: 1 } as const;
            await world.tasks.command(id, { type: "report", report });
          }
          if (cut) {
            await settled();
            take();
            watching.sink.destroy();
            const last = ids.at(-1);
            // Something happens while nobody listens.
            if (last !== undefined) {
              const report = { type: "stage", stage: "scan", phase: "begin" } as const;
              await world.tasks.command(last, { type: "report", report });
            }
            watching = await world.watchBatch(batchId, cursor);
          }
        }
        await settled();
        take();
        expect(got).toEqual(stored);
        expect(world.errors).toEqual([]);
        await world.close();
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);

test("progress that came while a commit was under way is told as well", async () => {
  const { id } = await service.job();
  await service.tasks.command(id, { type: "report", report: { type: "progress", done: 1 } });
  const { sink } = await service.watch(id);
  const told = sink.data("progress").length;
  const report = { type: "stage", stage: "scan", phase: "begin" } as const;
  const committing = service.tasks.command(id, { type: "report", report });
  const moving = service.tasks.progress(id, { type: "report", report: { type: "progress", done: 50 } });
  await Promise.all([committing, moving]);
  await settled();
  expect(sink.data("progress").slice(told).at(-1)).toMatchObject({ done: 50 });
});

test("a stream whose opening overtakes the drain is sent away, and holds on to nothing", async () => {
  await service.job({ id: "left" as TaskId, batchId: "b" as BatchId });
  await service.engine.drain(5_000);
  const opened = [
    await service.watch("left" as TaskId),
    await service.watchBatch("b" as BatchId),
    await service.watch("left" as TaskId, undefined, { waitMs: 60_000, rev: undefined }),
  ];
  for (const { sink, reports } of opened) {
    expect(sink.events).toEqual(["connected", "drain"]);
    expect(reports).toMatchObject([{ reason: "drain", finished: true }]);
  }
  expect(service.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
});
