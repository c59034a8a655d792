import { expect, test } from "vitest";
import { createFormatters } from "../model/formatters.js";
import { toRowView, type RowView } from "../model/row-view.js";
import { createTask } from "../model/task.test.kit.js";
import { WORDS } from "../words/words.js";
import { describeFailure, describeFigures, describeState } from "./row-text.js";

const words = WORDS.en;
const formatters = createFormatters("en");
const row = (change: Parameters<typeof createTask>[1] = {}): RowView =>
  toRowView({ key: "a", task: createTask("a", change), transfer: undefined, movedLately: true });

test("a moving upload tells amount, speed and time left", () => {
  expect(
    describeFigures(row({ done: 400_000, total: 5e6, speed: 2e6, eta: 2.3 }), words, formatters),
  ).toEqual(["400 kB of 5.00 MB", "2.00 MB/s", "3 sec left"]);
});

test("a producer's unit is named once, and never called stored", () => {
  const job = { kind: "task", unit: "frames", status: "processing", speed: 0, eta: null } as const;
  expect(describeFigures(row({ ...job, done: 12, total: 480 }), words, formatters)).toEqual([
    "12 of 480 frames",
  ]);
  expect(describeFigures(row({ ...job, done: 12, total: null }), words, formatters)).toEqual(["12 frames"]);
});

test("what failed before it began claims no amount", () => {
  const failed = { kind: "task", unit: "items", status: "failed", done: 0, total: null } as const;
  expect(describeFigures(row(failed), words, formatters)).toEqual([]);
});

test("a second attempt is named", () => {
  expect(describeFigures(row({ attempt: 2, speed: 0, eta: null }), words, formatters)).toContain("attempt 2");
});

test("a retry counts down in words", () => {
  const retrying = { ...row(), status: "retrying", retryAtMs: 3500 } as const;
  expect(describeState(retrying, 1000, words, formatters)).toBe("Connection lost, next try in 3 sec");
});

test("an unknown error is said in the server's words, and no retry is advised where it can't help", () => {
  const error = { code: "CODEC", message: "No such codec.", retryable: false };
  expect(describeFailure(row({ status: "failed", error }), words)).toBe(
    "No such codec. Doing the same again will not help.",
  );
});

test("a known error is said in plain words", () => {
  const error = { code: "UPLOAD_EXPIRED", message: "upload-expiry passed", retryable: true };
  expect(describeFailure(row({ status: "failed", error }), words)).toBe(
    `${words.failure.expired} ${words.advice.expired}`,
  );
});
