import type { ProgressData } from "@holdfast/protocol";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cursor, task, taskId } from "./task.test.kit.js";
import { reduceTask } from "./task-view.js";
import type { WatchEvent } from "./watch-event.js";

function progress(fields: Partial<ProgressData> = {}): WatchEvent {
  const { attempt, status, stage, done, total, uploaded, unit, percentage, speed, eta, rev } = task();
  const moved = { attempt, status, stage, done, total, uploaded, unit, percentage, speed, eta, rev };
  return {
    type: "progress",
    data: { ...moved, taskId: taskId("t1"), timestamp: 3, ...fields },
    lastEventId: cursor(5),
  };
}

const complete: WatchEvent = {
  type: "complete",
  data: { taskId: taskId("t1"), timestamp: 9, result: { ok: true } },
  lastEventId: cursor(6),
};

describe("a bar", () => {
  test("moves forward with newer progress", () => {
    expect(reduceTask(task(), progress({ rev: 6, done: 60, uploaded: 60, percentage: 60 }))).toMatchObject({
      done: 60,
      percentage: 60,
      updatedAt: 3,
    });
  });

  test("never moves backward within an attempt, whatever order progress comes in", () => {
    const anyProgress = fc
      .record({ rev: fc.nat(20), done: fc.nat(100), attempt: fc.integer({ min: 1, max: 3 }) })
      .map(({ rev, done, attempt }) => progress({ rev, done, uploaded: done, percentage: done, attempt }));
    fc.assert(
      fc.property(fc.array(anyProgress), (events) => {
        let view = task();
        for (const event of events) {
          const next = reduceTask(view, event);
          if (next === null) throw new Error("a task was lost");
          expect(next.attempt).toBeGreaterThanOrEqual(view.attempt);
          if (next.attempt === view.attempt) {
            expect(next.done).toBeGreaterThanOrEqual(view.done);
            expect(next.uploaded).toBeGreaterThanOrEqual(view.uploaded);
            expect(next.percentage ?? 0).toBeGreaterThanOrEqual(view.percentage ?? 0);
          }
          view = next;
        }
      }),
    );
  });

  test("begins anew with the next attempt", () => {
    expect(reduceTask(task(), progress({ attempt: 2, rev: 6, done: 0, percentage: 0 }))).toMatchObject({
      attempt: 2,
      done: 0,
      percentage: 0,
    });
  });

  test("progress of an older attempt, or of an older revision, changes nothing", () => {
    const view = task({ attempt: 2 });
    expect(reduceTask(view, progress({ attempt: 1, rev: 9 }))).toBe(view);
    const same = task();
    expect(reduceTask(same, progress({ rev: 5, done: 99 }))).toBe(same);
  });
});

describe("a snapshot", () => {
  test("is trusted whole, also where it is behind the view", () => {
    const older = task({ done: 10, uploaded: 10, percentage: 10, rev: 2 });
    expect(reduceTask(task(), { type: "snapshot", data: { task: older }, lastEventId: "" })).toBe(older);
  });

  test("is not undone by milestones that were replayed after it", () => {
    const view = task({ status: "processing", cursor: cursor(5) });
    const replayed: WatchEvent = {
      type: "status",
      data: { taskId: view.id, attempt: 1, status: "uploading", previous: "pending", timestamp: 1 },
      lastEventId: cursor(4),
    };
    expect(reduceTask(view, replayed)).toBe(view);
  });

  test("must come before anything else is shown", () => {
    expect(reduceTask(null, progress())).toBeNull();
    expect(reduceTask(null, complete)).toBeNull();
  });
});

describe("an ending", () => {
  test("completes an upload with all its bytes and 100 %", () => {
    expect(reduceTask(task(), complete)).toMatchObject({
      status: "completed",
      percentage: 100,
      done: 100,
      uploaded: 100,
      eta: null,
      endedAt: 9,
      result: { ok: true },
      cursor: cursor(6),
    });
  });

  test("does not invent what a producer counted", () => {
    expect(reduceTask(task({ kind: "task", uploaded: 0 }), complete)).toMatchObject({
      done: 50,
      uploaded: 0,
    });
  });

  test("is final", () => {
    const ended = reduceTask(task(), complete);
    expect(reduceTask(ended, progress({ rev: 99, done: 70 }))).toBe(ended);
  });

  test("a failure keeps the bar where it stood", () => {
    const error = { code: "UPLOAD_EXPIRED", message: "no byte", retryable: false };
    const failed: WatchEvent = {
      type: "failed",
      data: { taskId: taskId("t1"), timestamp: 9, error },
      lastEventId: cursor(6),
    };
    expect(reduceTask(task(), failed)).toMatchObject({ status: "failed", percentage: 50, error, speed: 0 });
  });
});
