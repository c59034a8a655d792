import type { Task } from "@holdfast/client";
import { expect, test } from "vitest";
import { toRowView, type RowView } from "./row-view.js";
import { createFile, createTask } from "./task.test.kit.js";
import type { Transfer } from "./transfers.js";

const transfer = (change: Partial<Transfer>): Transfer => ({
  key: "a",
  file: createFile("a.txt"),
  phase: "sending",
  begun: true,
  sentBytes: 0,
  retryAtMs: null,
  failure: null,
  ...change,
});

const view = (task: Task | undefined, mine?: Partial<Transfer>, movedLately = false): RowView =>
  toRowView({ key: "a", task, transfer: mine && transfer(mine), movedLately });

test("the number is what the server stored, however much was sent", () => {
  expect(view(createTask("a"), { sentBytes: 90 })).toMatchObject({
    status: "uploading",
    stored: 40,
    percentage: 40,
    sentPercentage: 90,
  });
});

test("sent is never shown behind stored", () => {
  expect(view(createTask("a"), { sentBytes: 10 }).sentPercentage).toBe(40);
});

test("an ending is the server's word, whatever this page was doing", () => {
  const error = { code: "UPLOAD_EXPIRED", message: "…", retryable: true };
  expect(view(createTask("a", { status: "failed", error }), { phase: "sending" })).toMatchObject({
    status: "failed",
    failure: { kind: "expired" },
    actions: ["retry", "remove"],
  });
  expect(view(createTask("a", { status: "completed", percentage: 100 }), { phase: "paused" }).status).toBe(
    "completed",
  );
});

test("all sent is not complete until the server says so", () => {
  expect(view(createTask("a", { percentage: 99.9 }), { phase: "sent", sentBytes: 100 }).status).toBe(
    "uploading",
  );
});

test("an unfinished upload without a file asks for it", () => {
  expect(view(createTask("a"))).toMatchObject({
    status: "needs-file",
    speed: 0,
    actions: ["choose", "cancel"],
  });
});

test("an unfinished upload that moves belongs to somebody else", () => {
  expect(view(createTask("a"), undefined, true)).toMatchObject({
    status: "elsewhere",
    speed: 10,
    actions: ["cancel"],
  });
});

test("a file changed on disk asks to be chosen again, and says why", () => {
  const failure = { kind: "unreadable", code: "UNREADABLE_FILE", message: "" } as const;
  expect(view(createTask("a"), { phase: "failed", failure })).toMatchObject({
    status: "needs-file",
    failure,
  });
});

test("a file that has not begun can be taken off the list, one that has must be cancelled", () => {
  expect(view(undefined, { phase: "queued", begun: false }).actions).toEqual(["remove"]);
  expect(view(createTask("a"), { phase: "queued" }).actions).toEqual(["cancel"]);
});

test("a resting upload shows neither speed nor time left", () => {
  expect(view(createTask("a"), { phase: "paused" })).toMatchObject({
    status: "paused",
    speed: 0,
    etaSeconds: null,
  });
});

test("a stage is shown while the task is processed, with the producer's own percentage", () => {
  expect(view(createTask("a", { status: "processing", stage: "scan", percentage: 62 }))).toMatchObject({
    status: "processing",
    stage: "scan",
    percentage: 62,
    actions: ["cancel"],
  });
});

test("a completed task without bytes offers no download", () => {
  const links = { self: "/s", stream: "/s/stream", upload: null, content: null };
  expect(view(createTask("a", { kind: "task", status: "completed", links })).actions).toEqual(["remove"]);
});
