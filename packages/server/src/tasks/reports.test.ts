import { afterEach, beforeEach, expect, test } from "vitest";
import { Service, settled } from "../testing/service.js";
import { applyReports } from "./reports.js";
import { openTaskHandle } from "./task-handle.js";

let service: Service;

beforeEach(() => {
  service = new Service();
});

afterEach(async () => {
  await service.close();
});

test("several reports are applied whole or not at all", async () => {
  const { id, cursor } = await service.job();
  const reports = [
    { type: "progress", done: 5 },
    { type: "custom", name: "error", data: 1 },
  ] as const;
  await expect(applyReports(service.tasks, id, reports)).rejects.toMatchObject({
    code: "INVALID_FIELD",
  });
  expect(await service.tasks.read(id)).toMatchObject({ status: "pending", done: 0, cursor });
});

test("the same request with its key changes nothing the second time and hears the same", async () => {
  const { id } = await service.job();
  const reports = [{ type: "custom", name: "note", data: 1 }] as const;
  const first = await applyReports(service.tasks, id, reports, "key");
  const second = await applyReports(service.tasks, id, reports, "key");
  expect(second).toEqual(first);
  const other = [{ type: "custom", name: "note", data: 2 }] as const;
  await expect(applyReports(service.tasks, id, other, "key")).rejects.toMatchObject({
    code: "IDEMPOTENCY_CONFLICT",
  });
});

test("two requests with one key at once are applied once", async () => {
  const { id } = await service.job();
  const reports = [{ type: "custom", name: "note", data: 1 }] as const;
  await Promise.all([1, 2, 3].map(async () => await applyReports(service.tasks, id, reports, "key")));
  const page = await service.store.readMilestones({
    of: { taskIds: [id] },
    after: 0,
    limit: 99,
    endingsOnlyUpTo: 0,
  });
  expect(page.milestones.filter(({ event }) => event === "note")).toHaveLength(1);
});

test("a retry that overtakes the answer to its first try hears the same, also when the first ends the task", async () => {
  const { id } = await service.job();
  const reports = [{ type: "complete", result: 1 }] as const;
  const [first, retry] = await Promise.all(
    [1, 2].map(async () => await applyReports(service.tasks, id, reports, "key")),
  );
  expect(first).toMatchObject({ status: "completed" });
  expect(retry).toEqual(first);
});

test("a repeated request hears the cursor and status of its own time, whatever came since", async () => {
  const { id } = await service.job();
  const reports = [{ type: "custom", name: "note", data: 1 }] as const;
  const first = await applyReports(service.tasks, id, reports, "key");
  await applyReports(service.tasks, id, [{ type: "complete", result: null }]);
  const { cursor, status } = await applyReports(service.tasks, id, reports, "key");
  expect({ cursor, status }).toEqual({ cursor: first.cursor, status: "processing" });
});

test("another request with a key is refused also while the first is under way", async () => {
  const { id } = await service.job();
  const [first, other] = await Promise.allSettled(
    [1, 2].map(
      async (data) => await applyReports(service.tasks, id, [{ type: "custom", name: "note", data }], "key"),
    ),
  );
  expect(first).toMatchObject({ status: "fulfilled" });
  expect(other).toMatchObject({ status: "rejected", reason: { code: "IDEMPOTENCY_CONFLICT" } });
});

test("a report that meets a cancelling under way is answered like one on a cancelled task", async () => {
  const { id } = await service.job();
  const reports = [{ type: "custom", name: "note", data: 1 }] as const;
  const [, answer] = await Promise.all([
    service.tasks.command(id, { type: "cancel", reason: null }),
    applyReports(service.tasks, id, reports, "key"),
  ]);
  expect(answer).toMatchObject({ status: "cancelled", cancelRequested: true });
});

test("a producer hears of a cancelled task in the answer to its next report", async () => {
  const { id } = await service.job();
  await service.tasks.command(id, { type: "cancel", reason: null });
  const answer = await applyReports(service.tasks, id, [{ type: "progress", done: 1 }]);
  expect(answer).toMatchObject({ status: "cancelled", cancelRequested: true });
});

test("a report on a task that has ended is refused", async () => {
  const { id } = await service.job();
  const complete = [{ type: "complete", result: null }] as const;
  await applyReports(service.tasks, id, complete);
  await expect(applyReports(service.tasks, id, complete)).rejects.toMatchObject({
    code: "TASK_ENDED",
  });
});

test("progress reaches watchers without a commit, and is stored on close", async () => {
  const { id } = await service.job();
  await applyReports(service.tasks, id, [{ type: "progress", done: 1 }]);
  const { version } = await service.tasks.read(id);
  const { sink } = await service.watch(id);
  for (let done = 2; done <= 50; done += 1) {
    await applyReports(service.tasks, id, [{ type: "progress", done }]);
  }
  expect(sink.data("progress").at(-1)).toMatchObject({ done: 50, percentage: 50 });
  expect(await service.store.readTask(id)).toMatchObject({ version, done: 1 });
  await service.tasks.close();
  expect(await service.store.readTask(id)).toMatchObject({ version, done: 50 });
});

test("a job of the host reports with plain calls, in the order it made them", async () => {
  const { id } = await service.job();
  const { sink } = await service.watch(id);
  const handle = await openTaskHandle(service.tasks, id, (error) => service.errors.push(error));
  for (let done = 1; done <= 60; done += 1) handle.progress(done);
  await handle.stage("scan");
  handle.progress(80);
  await handle.stage("index");
  await handle.event("note", { rows: 3 });
  await handle.complete({ ok: true });
  await settled();
  const events = sink.events.filter((event) => event !== "progress" && event !== "heartbeat");
  expect(events).toEqual(["connected", "status", "stage", "stage", "stage", "note", "complete"]);
  const done = sink.data("progress").map((progress) => Number(progress["done"]));
  expect(done).toEqual(done.toSorted((a, b) => a - b));
  expect(done).toContain(80);
  expect(sink.data("complete")[0]).toMatchObject({ result: { ok: true } });
  handle.progress(99); // after the end: nothing happens, nothing throws
  expect(service.errors).toEqual([]);
});

test("a job hears that its task was cancelled", async () => {
  const { id } = await service.job();
  const handle = await openTaskHandle(service.tasks, id, (error) => service.errors.push(error));
  expect(handle.cancelled.aborted).toBe(false);
  await service.tasks.command(id, { type: "cancel", reason: "no longer needed" });
  expect(handle.cancelled.aborted).toBe(true);
  await expect(handle.complete()).rejects.toMatchObject({ code: "TASK_ENDED" });
});
