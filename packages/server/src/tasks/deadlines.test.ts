import { afterEach, beforeEach, expect, test } from "vitest";
import { Service, SETTINGS, settled } from "../testing/service.js";
import type { Report } from "./lifecycle.js";
import { applyReports } from "./reports.js";
import type { TaskRow } from "./task-row.js";

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

async function restart(awayMs: number): Promise<void> {
  await service.die();
  service.clock.nowMs += awayMs;
  service = new Service(undefined, service);
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
  await restart(0);
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

test("a producer whose lease ran out while the server was away has 30 s to report, then is lost", async () => {
  const lease = async (): Promise<TaskRow> => {
    const job = await service.job();
    const report: Report = { type: "progress", done: 1, leaseSeconds: 4 };
    return await service.tasks.command(job.id, { type: "report", report });
  };
  const [alive, gone] = [await lease(), await lease()];
  await restart(60_000);
  await after(1_000);
  const report: Report = { type: "progress", done: 2, leaseSeconds: 4 };
  await applyReports(service.tasks, alive.id, [report]);
  await after(3_999);
  expect((await service.tasks.read(alive.id)).status).toBe("processing");
  // Heard of since the start, it is held to what it promised.
  await after(1);
  expect((await service.tasks.read(alive.id)).error).toMatchObject({ code: "PRODUCER_LOST" });
  await after(24_999);
  expect((await service.tasks.read(gone.id)).status).toBe("processing");
  await after(1);
  expect((await service.tasks.read(gone.id)).error).toMatchObject({ code: "PRODUCER_LOST" });
});

test("the next attempt may begin within 30 s of a start that came after its grace", async () => {
  const { id } = await service.job({ maxAttempts: 2 });
  const report: Report = { type: "fail", code: "OOM", message: "", retryable: true };
  await applyReports(service.tasks, id, [report]);
  await restart(SETTINGS.retryGraceMs + 1_000);
  await after(29_999);
  expect(await service.tasks.read(id)).toMatchObject({ status: "processing", attempt: 1 });
  await applyReports(service.tasks, id, [{ type: "progress", attempt: 2, done: 1 }]);
  await after(60_000);
  expect(await service.tasks.read(id)).toMatchObject({ status: "processing", attempt: 2, error: null });
});

test("upload expiry and retention do not wait for anybody after a start", async () => {
  const ended = await service.upload();
  await service.receive(ended.id);
  const left = await service.upload();
  await service.receive(left.id, 40);
  await restart(SETTINGS.retentionMs);
  await after(0);
  await expect(service.tasks.read(ended.id)).rejects.toMatchObject({ code: "TASK_EXPIRED" });
  expect((await service.tasks.read(left.id)).error).toMatchObject({ code: "UPLOAD_EXPIRED" });
});

test.each([3_600_000, -3_600_000])(
  "a clock that is set back by %i ms while the server runs ends nothing early and keeps nothing longer",
  async (stepMs) => {
    const leased = await service.job();
    const leasing: Report = { type: "progress", done: 1, leaseSeconds: 60 };
    await service.tasks.command(leased.id, { type: "report", report: leasing });
    const failing = await service.job({ maxAttempts: 2 });
    const fail: Report = { type: "fail", code: "X", message: "m", retryable: true };
    await service.tasks.command(failing.id, { type: "report", report: fail });
    const ended = await service.upload();
    await service.receive(ended.id);
    const stalled = await service.upload();
    await service.receive(stalled.id, 40);
    service.stepBack(stepMs);
    await after(59_999);
    expect((await service.tasks.read(leased.id)).status).toBe("processing");
    expect((await service.tasks.read(failing.id)).status).toBe("processing");
    // A report after the step is one like any other.
    await service.tasks.command(leased.id, { type: "report", report: leasing });
    expect(service.tasks.producerSeenMs(leased.id)).toBe(0);
    await after(59_999);
    expect((await service.tasks.read(leased.id)).status).toBe("processing");
    await after(1);
    expect((await service.tasks.read(leased.id)).error?.code).toBe("PRODUCER_LOST");
    await after(SETTINGS.retryGraceMs - 119_999);
    expect((await service.tasks.read(failing.id)).status).toBe("failed");
    await after(SETTINGS.uploadExpiryMs - SETTINGS.retryGraceMs);
    expect((await service.tasks.read(stalled.id)).error?.code).toBe("UPLOAD_EXPIRED");
    await after(SETTINGS.retentionMs - SETTINGS.uploadExpiryMs - 1);
    expect((await service.tasks.read(ended.id)).status).toBe("completed");
    await after(1);
    await expect(service.tasks.read(ended.id)).rejects.toMatchObject({ code: "TASK_EXPIRED" });
  },
);
