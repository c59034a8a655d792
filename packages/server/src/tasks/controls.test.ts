import type { BatchId, TaskId } from "@holdfast/protocol";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Service } from "../testing/service.js";

const NEVER = new AbortController().signal;
let service: Service;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  service = new Service();
});

afterEach(async () => {
  vi.useRealTimers();
  await service.close();
  expect(service.errors).toEqual([]);
  expect(service.controls.size).toBe(0);
});

/** Resolves when everything that waits for promises alone has run. */
async function turn(): Promise<void> {
  await new Promise<void>((resolve) => void setImmediate(resolve));
}

test("a producer that waits is told of the cancel, with its reason", async () => {
  const { id } = await service.job();
  const answer = service.controls.ask(id, { waitMs: 60_000, gone: NEVER });
  await turn();
  expect(service.controls.size).toBe(1);
  await service.tasks.command(id, { type: "cancel", reason: "not wanted any more" });
  expect(await answer).toEqual({
    status: "cancelled",
    attempt: 1,
    cancelRequested: true,
    reason: "not wanted any more",
    watchers: 0,
  });
  expect(vi.getTimerCount()).toBe(0);
});

test("any other ending ends the wait too, and one that is over is answered at once", async () => {
  const { id } = await service.job();
  const answer = service.controls.ask(id, { waitMs: 60_000, gone: NEVER });
  await turn();
  await service.tasks.command(id, { type: "report", report: { type: "complete", result: null } });
  expect(await answer).toMatchObject({ status: "completed", cancelRequested: false });
  expect(await service.controls.ask(id, { waitMs: 60_000, gone: NEVER })).toMatchObject({
    status: "completed",
  });
});

test("progress and milestones end no wait; its time does", async () => {
  const { id } = await service.job();
  let answered = false;
  const answer = service.controls.ask(id, { waitMs: 25_000, gone: NEVER }).finally(() => (answered = true));
  await turn();
  const stage = { type: "stage", stage: "scan", phase: "begin" } as const;
  await service.tasks.command(id, { type: "report", report: stage });
  vi.advanceTimersByTime(24_999);
  await turn();
  expect(answered).toBe(false);
  vi.advanceTimersByTime(1);
  expect(await answer).toMatchObject({ status: "processing", cancelRequested: false });
});

test("a client that goes leaves no timer and no hold behind", async () => {
  const { id } = await service.job();
  const gone = new AbortController();
  const answer = service.controls.ask(id, { waitMs: 60_000, watchers: 0, gone: gone.signal });
  await turn();
  gone.abort();
  await answer;
  expect([service.controls.size, vi.getTimerCount()]).toEqual([0, 0]);
  // One that has gone before it was looked at does not begin to wait.
  await service.controls.ask(id, { waitMs: 60_000, gone: gone.signal });
});

test("a wait counts as no sign of life: neither the lease nor the last sighting moves", async () => {
  const { id } = await service.job();
  const report = { type: "progress", done: 1, leaseSeconds: 30 } as const;
  const before = await service.tasks.command(id, { type: "report", report });
  service.clock.nowMs += 20_000;
  await service.controls.ask(id, { waitMs: 0, gone: NEVER });
  expect(await service.tasks.read(id)).toEqual(before);
  service.clock.nowMs += 10_000;
  const answer = service.controls.ask(id, { waitMs: 60_000, gone: NEVER });
  await turn();
  await service.deadlines.look();
  expect(await answer).toMatchObject({ status: "failed" });
});

test("asked with the watchers it knows, a wait ends when the last of them has gone", async () => {
  const { id } = await service.job();
  const one = await service.watch(id);
  const two = await service.watch(id);
  let answered = false;
  const asked = { waitMs: 60_000, gone: NEVER } as const;
  expect(await service.controls.ask(id, { ...asked, watchers: 0 })).toMatchObject({ watchers: 2 });
  const answer = service.controls.ask(id, { ...asked, watchers: 2 }).finally(() => (answered = true));
  const deaf = service.controls.ask(id, asked);
  await turn();
  expect(answered).toBe(false);
  one.sink.destroy();
  expect(await answer).toMatchObject({ watchers: 1 });
  const last = service.controls.ask(id, { ...asked, watchers: 1 });
  await turn();
  two.sink.destroy();
  expect(await last).toMatchObject({ status: "pending", watchers: 0 });
  // Who did not ask about watchers still waits.
  expect(service.controls.size).toBe(1);
  service.controls.drain();
  await deaf;
});

test("streams of many tasks and of batches are watchers of each task they carry", async () => {
  const batchId = "b" as BatchId;
  const ids: TaskId[] = [];
  for (let i = 0; i < 3; i += 1) ids.push((await service.job({ batchId })).id);
  const outside = await service.job();
  const [first, second] = ids as [TaskId, TaskId];
  const own = await service.watch(first);
  const many = await service.watchMany([first, second, outside.id, "none"]);
  const batch = await service.watchBatch(batchId);
  const counts = async (): Promise<number[]> =>
    await Promise.all(
      [...ids, outside.id].map(async (id) => service.tasks.watchers(await service.tasks.read(id))),
    );
  expect(await counts()).toEqual([3, 2, 1, 1]);
  // A task that is added to the batch later has its watchers from its first moment.
  const added = await service.job({ batchId });
  expect(service.tasks.watchers(added)).toBe(1);
  many.sink.destroy();
  expect(await counts()).toEqual([2, 1, 1, 0]);
  batch.sink.destroy();
  own.sink.destroy();
  expect(await counts()).toEqual([0, 0, 0, 0]);
  expect(service.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
});

test("a drain answers everybody who waits, and sends away who would have to", async () => {
  const { id } = await service.job();
  const waits = Array.from(
    { length: 3 },
    async () => await service.controls.ask(id, { waitMs: 60_000, gone: NEVER }),
  );
  await turn();
  service.controls.drain();
  expect((await Promise.all(waits)).map(({ status }) => status)).toEqual(["pending", "pending", "pending"]);
  await expect(service.controls.ask(id, { waitMs: 60_000, gone: NEVER })).rejects.toMatchObject({
    code: "DRAINING",
  });
  expect(await service.controls.ask(id, { waitMs: 0, gone: NEVER })).toMatchObject({ status: "pending" });
});

test("the waits of a task are bounded, and another task's are not touched by it", async () => {
  const { id } = await service.job();
  const other = await service.job();
  const ask = async (of: TaskId): Promise<unknown> =>
    await service.controls.ask(of, { waitMs: 60_000, gone: new AbortController().signal });
  const waits = Array.from({ length: 16 }, async () => await ask(id));
  await turn();
  await expect(ask(id)).rejects.toMatchObject({ code: "TOO_MANY_REQUESTS" });
  const elsewhere = ask(other.id);
  await turn();
  expect(service.controls.size).toBe(17);
  service.controls.drain();
  await Promise.all([...waits, elsewhere]);
});
