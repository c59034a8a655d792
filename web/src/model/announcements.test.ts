import { expect, test } from "vitest";
import { describeConnection, describeRows, mergeAnnouncements } from "./announcements.js";
import { toRowView, type RowView } from "./row-view.js";
import { createTask } from "./task.test.kit.js";

const row = (id: string, change: Parameters<typeof createTask>[1] = {}): RowView =>
  toRowView({ key: id, task: createTask(id, change), transfer: undefined, movedLately: true });

test("progress is not announced", () => {
  expect(describeRows([row("a")], [row("a", { done: 90 })])).toEqual([]);
});

test("endings of one kind are one announcement", () => {
  const ended = [row("a", { status: "completed" }), row("b", { status: "completed" })];
  expect(describeRows([row("a"), row("b")], ended)).toEqual([
    { kind: "completed", names: ["a.txt", "b.txt"] },
  ]);
});

test("what a reload brings back already ended is no news", () => {
  expect(describeRows([], [row("a", { status: "failed" })])).toEqual([]);
});

test("a loss of the connection is told once, and its return", () => {
  expect(describeConnection("live", "reconnecting")).toEqual([{ kind: "connection-lost" }]);
  expect(describeConnection("reconnecting", "offline")).toEqual([]);
  expect(describeConnection("offline", "live")).toEqual([{ kind: "connection-back" }]);
  expect(describeConnection("connecting", "live")).toEqual([]);
});

test("what ended one after the other within a moment is one sentence", () => {
  const said = mergeAnnouncements([
    { kind: "completed", names: ["a"] },
    { kind: "failed", names: ["b"] },
    { kind: "completed", names: ["c"] },
    { kind: "added", count: 2 },
    { kind: "added", count: 3 },
  ]);
  expect(said).toEqual([
    { kind: "completed", names: ["a", "c"] },
    { kind: "failed", names: ["b"] },
    { kind: "added", count: 5 },
  ]);
});
