import { expect, test } from "vitest";
import { toOverallView } from "./overall-view.js";
import { toRowView, type RowView } from "./row-view.js";
import { createTask } from "./task.test.kit.js";

const row = (id: string, change: Parameters<typeof createTask>[1], movedLately = true): RowView =>
  toRowView({ key: id, task: createTask(id, change), transfer: undefined, movedLately });

test("an empty list measures nothing", () => {
  expect(toOverallView([])).toMatchObject({ kind: "empty", percentage: null, files: 0 });
});

test("bytes and speeds are added up, and the time left follows from them", () => {
  expect(toOverallView([row("a", {}), row("b", { done: 0, total: 300, percentage: 0 })])).toMatchObject({
    kind: "moving",
    storedBytes: 40,
    totalBytes: 400,
    percentage: 10,
    bytesPerSecond: 20,
    etaSeconds: 18,
  });
});

test("a list with a failed file does not call itself whole when all has ended", () => {
  const rows = [row("a", { status: "failed" }), row("b", { status: "completed", done: 100 })];
  expect(toOverallView(rows)).toMatchObject({
    kind: "done",
    failed: 1,
    completed: 1,
    percentage: 70,
    totalBytes: 200,
  });
  const empty = { total: 0, done: 0, percentage: null };
  expect(
    toOverallView([row("a", { status: "failed", ...empty }), row("b", { status: "completed", ...empty })]),
  ).toMatchObject({ kind: "done", percentage: 0 });
});

test("a failure does not move the number, but nobody waits for its bytes", () => {
  const other = row("b", { done: 0, total: 300, percentage: 0, speed: 10 });
  const before = toOverallView([row("a", {}), other]);
  const after = toOverallView([row("a", { status: "failed" }), other]);
  expect(after.percentage).toBe(before.percentage);
  expect(after.etaSeconds).toBe(30);
});

test("what was cancelled is counted but not measured", () => {
  const rows = [row("a", { status: "cancelled" }), row("b", { status: "completed", done: 100 })];
  expect(toOverallView(rows)).toMatchObject({ files: 2, completed: 1, percentage: 100, totalBytes: 100 });
});

test("it is never 100 % while a row is not at its end", () => {
  const rows = [row("a", { done: 100, percentage: 99.9 }), row("b", { status: "completed", done: 100 })];
  expect(toOverallView(rows).percentage).toBe(99);
});

test("unfinished rows without a file rest", () => {
  expect(toOverallView([row("a", {}, false)])).toMatchObject({ kind: "resting", etaSeconds: null });
});

test("tasks without bytes count alike where nothing has bytes", () => {
  const job = { kind: "task", unit: "frames", status: "processing" } as const;
  const rows = [row("a", { ...job, percentage: 20 }), row("b", { ...job, percentage: 60 })];
  expect(toOverallView(rows)).toMatchObject({ percentage: 40, totalBytes: 0, kind: "moving" });
});
