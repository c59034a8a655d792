import type { BatchId, TaskId } from "@holdfast/protocol";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Delivery } from "../stores/delivery-log.js";
import { idOf, Service, settled } from "../testing/service.js";

let service: Service;

beforeEach(() => {
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
});

async function complete(id: TaskId): Promise<string> {
  const report = { type: "complete", result: null } as const;
  return (await service.tasks.command(id, { type: "report", report })).cursor;
}

async function items(id: TaskId): Promise<readonly Delivery[]> {
  return (await service.deliveries.read(id)).items;
}

test("every connection that was sent the ending is listed, with when and how it closed; others are not", async () => {
  const { id } = await service.job();
  const openedAtMs = service.clock.nowMs;
  await service.watch(id); // c1
  const left = await service.watch(id); // c2
  left.sink.destroy();
  service.clock.nowMs += 5_000;
  await complete(id);
  await settled();
  service.clock.nowMs += 1_000;
  await service.watch(id); // c3, late
  const sent = { transport: "sse", outcome: "sent", flushed: true, reason: "completed" };
  expect(await service.deliveries.read(id)).toEqual({
    sent: 2,
    acknowledged: 0,
    items: [
      {
        ...sent,
        connectionId: "c3",
        openedAtMs: openedAtMs + 6_000,
        sentAtMs: openedAtMs + 6_000,
        closedAtMs: openedAtMs + 6_000,
      },
      {
        ...sent,
        connectionId: "c1",
        openedAtMs,
        sentAtMs: openedAtMs + 5_000,
        closedAtMs: openedAtMs + 5_000,
      },
    ],
  });
});

test("an ending that the kernel did not take is told from one that it did", async () => {
  const { id } = await service.job();
  const { sink } = await service.watch(id);
  sink.stalled = true;
  await complete(id);
  await settled();
  expect(await items(id)).toMatchObject([{ flushed: null, closedAtMs: null, reason: null }]);
  sink.destroy();
  expect(await items(id)).toMatchObject([
    { flushed: false, closedAtMs: service.clock.nowMs, reason: "completed" },
  ]);

  const other = await service.job();
  const slow = await service.watch(other.id);
  slow.sink.stalled = true;
  await complete(other.id);
  slow.sink.read();
  expect(await items(other.id)).toMatchObject([{ flushed: true, reason: "completed" }]);
});

test("a session that closed for want of room was not sent the ending", async () => {
  const { id } = await service.job();
  const { sink, reports } = await service.watch(id);
  sink.stalled = true;
  const big = { type: "custom", name: "big", data: "x".repeat(60_000) } as const;
  await service.tasks.command(id, { type: "report", report: big });
  const report = { type: "complete", result: "x".repeat(60_000) } as const;
  await service.tasks.command(id, { type: "report", report });
  expect(reports).toMatchObject([{ reason: "slow-consumer" }]);
  expect(await items(id)).toEqual([]);
});

test("a client that comes back with the ending in its hands acknowledges it", async () => {
  const { id } = await service.job();
  const { sink } = await service.watch(id);
  await complete(id);
  const again = await service.watch(id, idOf(sink.frames.at(-1)));
  expect(again.outcome).toBe("no-content");
  expect(await service.deliveries.read(id)).toMatchObject({
    sent: 1,
    acknowledged: 1,
    items: [
      { connectionId: "c2", outcome: "acknowledged", sentAtMs: null, flushed: null, reason: null },
      { connectionId: "c1", outcome: "sent" },
    ],
  });
});

test("one connection of many tasks is listed with each, when it was sent and how the whole ended", async () => {
  const batchId = "b" as BatchId;
  const one = await service.job({ batchId });
  const two = await service.job({ batchId });
  const { sink } = await service.watchBatch(batchId);
  await complete(one.id);
  await settled();
  const { nowMs } = service.clock;
  expect(await items(one.id)).toMatchObject([
    { connectionId: "c1", sentAtMs: nowMs, flushed: true, closedAtMs: null },
  ]);
  expect(await items(two.id)).toEqual([]);
  sink.stalled = true;
  await complete(two.id);
  service.clock.nowMs += 9_000;
  sink.destroy();
  const gone = { connectionId: "c1", closedAtMs: nowMs + 9_000, reason: "peer-gone" };
  expect(await items(one.id)).toMatchObject([{ ...gone, flushed: true }]);
  expect(await items(two.id)).toMatchObject([{ ...gone, flushed: false }]);
  expect(service.deliveries.counts).toEqual({ sent: 2, acknowledged: 0, unrecorded: 0 });
});

test("what a queue took later is flushed from then on, while the connection stays open", async () => {
  const batchId = "b" as BatchId;
  const { id } = await service.job({ batchId });
  const { sink } = await service.watchBatch(batchId);
  sink.stalled = true;
  await complete(id);
  await settled();
  expect(await items(id)).toMatchObject([{ flushed: null }]);
  sink.read();
  await settled();
  expect(await items(id)).toMatchObject([{ flushed: true, closedAtMs: null }]);
});

test("a store that fails costs records, never a stream", async () => {
  const { id } = await service.job();
  service.store.recordDeliveries = async () => await Promise.reject(new Error("disk full"));
  const { sink } = await service.watch(id);
  await complete(id);
  await settled();
  expect(sink.events.at(-1)).toBe("complete");
  await service.deliveries.store();
  expect(service.deliveries.counts).toMatchObject({ sent: 1, unrecorded: 1 });
  expect(service.errors.splice(0)).toMatchObject([{ message: "disk full" }]);
});

test("two thousand watchers of one ending are recorded in bounded room, without a store call each", async () => {
  const { id } = await service.job();
  let calls = 0;
  const record = service.store.recordDeliveries.bind(service.store);
  service.store.recordDeliveries = async (entries) => {
    calls += 1;
    await record(entries);
  };
  for (let i = 0; i < 2_000; i += 1) await service.watch(id);
  await complete(id);
  await settled();
  const log = await service.deliveries.read(id);
  expect([log.sent, log.items.length]).toEqual([2_000, 100]);
  expect(calls).toBeLessThan(10);
});
