import { isEnding, isTerminal, type TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { HoldfastError } from "../errors.js";
import { applyCommand, type Command, type LifecycleSettings, type Moment, type Report } from "./lifecycle.js";
import { newTaskRow } from "./new-task.js";
import type { TaskRow } from "./task-row.js";
import { toPercentage } from "./task-wire.js";

const settings: LifecycleSettings = {
  uploadExpiryMs: 86_400_000,
  processingTimeoutMs: 3_600_000,
  retentionMs: 604_800_000,
  retryGraceMs: 300_000,
};

function row(fields: Partial<TaskRow> = {}): TaskRow {
  const fresh = newTaskRow(
    {
      id: "t" as TaskId,
      kind: fields.kind ?? "task",
      filename: null,
      total: 100,
      unit: "rows",
      metadata: {},
      batchId: null,
      processing: "none",
      maxAttempts: 1,
      blobKey: null,
      tusMetadata: null,
    },
    0,
  );
  return { ...fresh.row, ...fields };
}

/** Deadlines lapse when they have come; everything else happens at 1 s. */
function timeOf(command: Command, { dueAtMs }: TaskRow): Moment {
  return moment(command.type === "lapse" ? (dueAtMs ?? 1_000) : 1_000);
}

function moment(ms: number): Moment {
  return { nowMs: ms, steadyMs: ms };
}

function run(from: TaskRow, ...commands: Command[]) {
  let current = from;
  const events: string[] = [];
  for (const command of commands) {
    const change = applyCommand(current, command, timeOf(command, current), settings);
    current = change.row;
    events.push(...change.milestones.map(({ event }) => event));
  }
  return { row: current, events };
}

function report(one: Report): Command {
  return { type: "report", report: one };
}

const progress = (done: number, attempt?: number): Command =>
  report({ type: "progress", done, ...(attempt !== undefined && { attempt }) });
const lost = { type: "fail", code: "CRASH", message: "worker crashed", retryable: true } as const;

const amount = fc.integer({ min: 0, max: 200 });
const attempts = fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined });
const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.constant<Command>({ type: "begin", oneShot: false }),
  amount.map((total): Command => ({ type: "declareTotal", total })),
  amount.map((done): Command => ({ type: "received", done, result: null })),
  fc.constant<Command>({ type: "fail", error: { code: "X", message: "x", retryable: true } }),
  fc.constant<Command>({ type: "cancel", reason: "asked" }),
  fc.constant<Command>({ type: "lapse" }),
  fc.tuple(amount, attempts).map(([done, attempt]) => progress(done, attempt)),
  attempts.map((attempt) => report({ ...lost, ...(attempt !== undefined && { attempt }) })),
  fc.constant(report({ type: "complete", result: 1 })),
  fc.constant(report({ type: "stage", stage: "scan", phase: "begin" })),
  fc.constant(report({ type: "custom", name: "note", data: 1 })),
);

test("whatever happens in whatever order, a task ends at most once and nothing changes it afterwards", () => {
  const start = fc.record({
    kind: fc.constantFrom("upload" as const, "task" as const),
    processing: fc.constantFrom("none" as const, "external" as const),
    maxAttempts: fc.integer({ min: 1, max: 3 }),
    total: fc.option(fc.integer({ min: 0, max: 150 })),
  });
  fc.assert(
    fc.property(start, fc.array(anyCommand, { maxLength: 30 }), (fields, commands) => {
      let current = row(fields);
      let endings = 0;
      for (const command of commands) {
        let change;
        try {
          change = applyCommand(current, command, timeOf(command, current), settings);
        } catch (error) {
          expect(error).toBeInstanceOf(HoldfastError);
          continue;
        }
        expect(isTerminal(current.status)).toBe(false);
        const ending = change.milestones.filter(({ event }) => isEnding(event));
        endings += ending.length;
        // The ending is the last milestone of the change that made the row terminal, and of no other.
        expect(ending.length).toBe(isTerminal(change.row.status) ? 1 : 0);
        if (ending.length > 0) expect(change.milestones.at(-1)?.ending).toBe(true);
        expect(change.row.rev).toBeGreaterThan(current.rev);
        expect(change.row.attempt).toBeGreaterThanOrEqual(current.attempt);
        if (change.row.attempt === current.attempt) {
          expect(change.row.done).toBeGreaterThanOrEqual(current.done);
          const before = toPercentage(current);
          const after = toPercentage(change.row);
          if (before !== null) expect(after).toBeGreaterThanOrEqual(before);
        }
        if (change.row.total !== null) expect(change.row.done).toBeLessThanOrEqual(change.row.total);
        if (change.row.status !== "completed") expect(toPercentage(change.row) ?? 0).toBeLessThan(100);
        expect(change.row.dueAtMs).not.toBeNull();
        current = change.row;
      }
      expect(endings).toBe(isTerminal(current.status) ? 1 : 0);
    }),
    { numRuns: 1_000 },
  );
});

test("the last byte completes an upload, or hands it to its producer", () => {
  const none = run(
    row({ kind: "upload" }),
    { type: "begin", oneShot: false },
    { type: "received", done: 100, result: null },
  );
  expect(none.events).toEqual(["status", "complete"]);
  const external = run(
    row({ kind: "upload", processing: "external" }),
    { type: "begin", oneShot: false },
    { type: "received", done: 100, result: null },
  );
  expect(external.events).toEqual(["status", "status"]);
  expect(external.row.status).toBe("processing");
  expect(toPercentage(external.row)).toBe(99.9);
});

test("an empty upload shows that it began before it completes", () => {
  const { events } = run(row({ kind: "upload", total: 0 }), { type: "received", done: 0, result: null });
  expect(events).toEqual(["status", "complete"]);
});

test("a failed attempt with attempts left is followed by the next, and by failed when none is left", () => {
  const two = run(row({ maxAttempts: 2 }), progress(60), report(lost));
  expect(two.events).toEqual(["status", "attempt"]);
  expect(two.row.retryUntilMs).toBe(301_000);
  const next = run(two.row, progress(10));
  expect(next.row).toMatchObject({ attempt: 2, done: 10, retryUntilMs: null });
  expect(run(next.row, report(lost)).events).toEqual(["failed"]);
});

test("a next attempt that never begins ends as what failed the last one", () => {
  const waiting = run(row({ maxAttempts: 3 }), report(lost)).row;
  const ended = run(waiting, { type: "lapse" });
  expect(ended.events).toEqual(["failed"]);
  expect(ended.row.error?.code).toBe("CRASH");
});

test("a stale worker is refused and changes nothing", () => {
  const second = run(row({ maxAttempts: 2 }), progress(60), progress(10, 2)).row;
  for (const stale of [
    progress(90, 1),
    report({ type: "complete", result: 1, attempt: 1 }),
    report({ ...lost, attempt: 1 }),
  ]) {
    expect(() => applyCommand(second, stale, moment(1), settings)).toThrow(/attempt 1 .* is over/);
  }
});

test("a producer that dies is told as PRODUCER_LOST, after its lease or the timeout", () => {
  const leased = run(row(), report({ type: "progress", done: 1, leaseSeconds: 30 })).row;
  expect(leased.dueAtMs).toBe(31_000);
  const ended = run(leased, { type: "lapse" });
  expect(ended.row.error?.code).toBe("PRODUCER_LOST");
  const unleased = run(row(), progress(1)).row;
  expect(unleased.dueAtMs).toBe(1_000 + settings.processingTimeoutMs);
});

test("a deadline that was put off meanwhile does not lapse", () => {
  const leased = run(row(), report({ type: "progress", done: 1, leaseSeconds: 30 })).row;
  expect(applyCommand(leased, { type: "lapse" }, moment(30_999), settings)).toEqual({
    row: leased,
    milestones: [],
  });
  expect(applyCommand(leased, { type: "lapse" }, moment(31_000), settings).row.status).toBe("failed");
});

test("an upload nobody sends bytes for expires; its row says how much was stored", () => {
  const ended = run(row({ kind: "upload", done: 40 }), { type: "lapse" });
  expect(ended.row.error?.code).toBe("UPLOAD_EXPIRED");
  expect(ended.row.error?.message).toContain("40 of 100");
  expect(toPercentage(ended.row)).toBe(40);
});

test("an upload that failed is not shown as completed or as 100 %", () => {
  const ended = run(row({ kind: "upload", done: 100 }), {
    type: "fail",
    error: { code: "STORAGE_FAILED", message: "disk", retryable: true },
  });
  expect(ended.row.status).toBe("failed");
  expect(toPercentage(ended.row)).toBe(99.9);
});

test("a producer of an upload moves its percentage only upward, and its bytes not at all", () => {
  const at = run(
    row({ kind: "upload", processing: "external", total: 10 }),
    { type: "received", done: 10, result: null },
    report({ type: "progress", done: 1, total: 2 }),
  ).row;
  expect(at).toMatchObject({ done: 10, producerPercentage: 50 });
  expect(run(at, report({ type: "progress", done: 1, total: 10 })).row.producerPercentage).toBe(50);
});

test("a report on an upload that still lacks bytes is refused", () => {
  expect(() =>
    applyCommand(row({ kind: "upload" }), report({ type: "complete", result: 1 }), moment(1), settings),
  ).toThrow(/still pending/);
});

test("a custom event can't take a name of the stream's own", () => {
  for (const name of [
    "progress",
    "complete",
    "error",
    "message",
    "open",
    "connected",
    "A",
    "",
    "a b",
    "a\nb",
  ]) {
    expect(() => applyCommand(row(), report({ type: "custom", name, data: 1 }), moment(1), settings)).toThrow(
      HoldfastError,
    );
  }
});
