import { afterEach, beforeEach, expect, test } from "vitest";
import { Service, SETTINGS, settled } from "../testing/service.js";
import type { Report } from "./lifecycle.js";
import { applyReports } from "./reports.js";

let service: Service;

beforeEach(() => {
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
});

async function after(ms: number): Promise<void> {
  service.clock.nowMs += ms;
  await service.deadlines.look();
  await settled();
}

test("an upload that nobody goes on with expires, and its watchers hear it", async () => {
  const { id } = await service.upload();
  await service.receive(id, 40);
  const { sink } = await service.watch(id);
  await after(SETTINGS.uploadExpiryMs - 1);
  expect(sink.events).not.toContain("failed");
  await after(1);
  expect(sink.data("failed")[0]).toMatchObject({ error: { code: "UPLOAD_EXPIRED", retryable: true } });
});

test("bytes that arrive put the expiry off, without a store call for each", async () => {
  const { id } = await service.upload();
  await service.receive(id, 10);
  service.clock.nowMs += SETTINGS.uploadExpiryMs - 1_000;
  const hold = await service.tasks.hold(id);
  hold.stored(20);
  await after(2_000);
  expect((await service.tasks.read(id)).status).toBe("uploading");
  hold.release();
});

test("a producer that is not heard of is PRODUCER_LOST, and the ending comes once", async () => {
  const { id } = await service.job();
  await service.tasks.command(id, {
    type: "report",
    report: { type: "progress", done: 1, leaseSeconds: 30 },
  });
  const { sink } = await service.watch(id);
  await after(30_000);
  await after(30_000);
  expect(sink.data("failed")).toHaveLength(1);
  expect(sink.data("failed")[0]).toMatchObject({ error: { code: "PRODUCER_LOST" } });
});

test("an ended task is kept for the retention, then answers 410", async () => {
  const { id } = await service.upload();
  await service.receive(id);
  await after(SETTINGS.retentionMs - 1);
  expect((await service.tasks.read(id)).status).toBe("completed");
  await after(1);
  await expect(service.tasks.read(id)).rejects.toMatchObject({ code: "TASK_EXPIRED" });
});

test("a batch is forgotten when its last task is, not before", async () => {
  const { batch } = await service.batches.create({ metadata: {} });
  const { id } = await service.upload({ batchId: batch.batchId });
  await service.receive(id);
  await after(SETTINGS.retentionMs - 1);
  expect((await service.batches.read(batch.batchId)).tasks).toBe(1);
  await after(3_600_001);
  await after(3_600_001);
  await expect(service.batches.read(batch.batchId)).rejects.toMatchObject({ code: "BATCH_NOT_FOUND" });
});

test("an attempt that begins with progress is still the current one after a crash", async () => {
  const { id } = await service.job({ maxAttempts: 3 });
  const report = async (only: Report): Promise<unknown> => await applyReports(service.tasks, id, [only]);
  await report({ type: "fail", code: "OOM", message: "out of memory", retryable: true });
  const { sink } = await service.watch(id);
  await report({ type: "progress", attempt: 2, done: 3, leaseSeconds: 30 });
  expect(sink.data("progress").at(-1)).toMatchObject({ done: 3 });
  await report({ type: "progress", attempt: 2, done: 4, leaseSeconds: 30 });
  await service.die();
  service = new Service(undefined, service);
  expect(await service.tasks.read(id)).toMatchObject({
    attempt: 2,
    error: null,
    retryUntilMs: null,
    done: 4,
  });
  await expect(report({ type: "progress", attempt: 1, done: 9 })).rejects.toMatchObject({
    code: "STALE_ATTEMPT",
  });
  // Lost, it is followed by the third, not ended with the error of the first.
  await after(60_000);
  expect(await service.tasks.read(id)).toMatchObject({
    status: "processing",
    attempt: 2,
    error: { code: "PRODUCER_LOST" },
  });
});
