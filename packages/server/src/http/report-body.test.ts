import fc from "fast-check";
import { expect, test } from "vitest";
import { HoldfastError } from "../errors.js";
import { NdjsonLines } from "./json-body.js";
import { MAX_EVENT_BYTES } from "../tasks/event-data.js";
import { parseReports } from "./report-body.js";

function refusedField(body: unknown): string | undefined {
  try {
    parseReports(body);
  } catch (error) {
    if (error instanceof HoldfastError && error.code === "INVALID_FIELD") return error.field;
    throw error;
  }
  throw new Error("the report was accepted");
}

function outcomeOf(body: unknown): unknown {
  try {
    return parseReports(body).length === 1 ? "parsed" : "lost";
  } catch (error) {
    return error instanceof HoldfastError ? error.code : error;
  }
}

test("each type is parsed into its report", () => {
  expect(
    parseReports({ type: "progress", attempt: 2, leaseSeconds: 30, data: { done: 1.5, total: 3 } }),
  ).toEqual([{ type: "progress", attempt: 2, leaseSeconds: 30, done: 1.5, total: 3 }]);
  expect(parseReports({ type: "progress", data: { done: 1, total: null } })).toEqual([
    { type: "progress", done: 1 },
  ]);
  expect(parseReports({ type: "stage", data: { stage: "scan" } })).toEqual([
    { type: "stage", stage: "scan", phase: "begin" },
  ]);
  expect(parseReports({ type: "page.done", data: [1] })).toEqual([
    { type: "custom", name: "page.done", data: [1] },
  ]);
  expect(parseReports({ type: "ping" })).toEqual([{ type: "custom", name: "ping", data: null }]);
  expect(parseReports({ type: "complete" })).toEqual([{ type: "complete", result: null }]);
  expect(parseReports({ type: "complete", data: { result: { url: "/x" } } })).toEqual([
    { type: "complete", result: { url: "/x" } },
  ]);
  expect(parseReports({ type: "fail", data: { code: "E", message: "m" } })).toEqual([
    { type: "fail", code: "E", message: "m", retryable: false },
  ]);
});

test("what is wrong is named by its pointer", () => {
  expect(refusedField([])).toBe("");
  expect(refusedField({})).toBe("/type");
  expect(refusedField({ type: "progress", data: { done: -1 } })).toBe("/data/done");
  expect(refusedField({ type: "progress", data: { done: "1" } })).toBe("/data/done");
  expect(refusedField({ type: "progress", data: { done: 1, of: 2 } })).toBe("/data/of");
  expect(refusedField({ type: "stage", data: { stage: "a", phase: "middle" } })).toBe("/data/phase");
  expect(refusedField({ type: "fail", data: { code: "E" } })).toBe("/data/message");
  expect(refusedField({ type: "ping", attempt: 0 })).toBe("/attempt");
  expect(refusedField({ type: "ping", lease: 1 })).toBe("/lease");
  expect(refusedField(new NdjsonLines([{ type: "ping" }, { type: "progress" }]))).toBe("/1/data");
  expect(refusedField(new NdjsonLines([]))).toBe("");
});

test("who sends several in an array is told how several are sent", () => {
  expect(() => parseReports([{ type: "ping" }])).toThrow(
    /got an array; send several as application\/x-ndjson/,
  );
});

test("names that the stream or EventSource uses itself are refused", () => {
  const names = [
    "connected",
    "heartbeat",
    "failed",
    "message",
    "open",
    "error",
    "state",
    "Upper",
    "1st",
    "a b",
    "x".repeat(65),
  ];
  expect(names.map((type) => refusedField({ type }))).toEqual(names.map(() => "/type"));
});

test("an event's data is bounded in bytes, not in characters", () => {
  const fits = "x".repeat(MAX_EVENT_BYTES - 2);
  expect(parseReports({ type: "blob", data: fits })).toHaveLength(1);
  expect(refusedField({ type: "blob", data: `${fits}x` })).toBe("/data");
  expect(refusedField({ type: "blob", data: "ü".repeat(MAX_EVENT_BYTES / 2) })).toBe("/data");
});

test("whatever it is given, it parses or refuses with INVALID_FIELD", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (body) => {
      const outcome = outcomeOf(body);
      expect(["parsed", "INVALID_FIELD"]).toContain(outcome);
    }),
  );
});
