/**
 * What a person sees of a task, from what the stream says: (task, event) → task, pure. The same object comes back when nothing
 * changed, so a page may compare by identity.
 *
 * It promises that a bar never moves backward within an attempt, and that an ended task stays ended. It trusts snapshots whole: they
 * are the server's present. Milestones replayed after a snapshot are older than it and change nothing.
 */
import { isTerminal, parseCursor, type Cursor, type ProgressData, type Task } from "@holdfast/protocol";
import type { WatchEvent } from "./watch-event.js";

type Milestone = Extract<
  WatchEvent,
  { type: "status" | "stage" | "attempt" | "complete" | "failed" | "cancelled" }
>;

/** `task` is null before the first snapshot; without one nothing can be shown, so null stays. */
export function reduceTask(task: Task | null, event: WatchEvent): Task | null {
  if (event.type === "snapshot") return event.data.task;
  if (event.type === "connected") return "task" in event.data ? event.data.task : task;
  if (task === null || isTerminal(task.status)) return task;
  if (event.type === "progress") return moveForward(task, event.data);
  return isMilestone(event) && isNewer(event.lastEventId, task.cursor) ? applyMilestone(task, event) : task;
}

const MILESTONES: { readonly [K in Milestone["type"]]: true } = {
  status: true,
  stage: true,
  attempt: true,
  complete: true,
  failed: true,
  cancelled: true,
};

function isMilestone(event: WatchEvent): event is Milestone {
  return Object.hasOwn(MILESTONES, event.type);
}

function isNewer(id: string, than: Cursor): boolean {
  const a = parseCursor(id);
  const b = parseCursor(than);
  return a === undefined || b === undefined || a.epoch !== b.epoch || a.sequence > b.sequence;
}

function moveForward(task: Task, progress: ProgressData): Task {
  const { attempt, rev } = progress;
  if (attempt < task.attempt || (attempt === task.attempt && rev <= task.rev)) return task;
  const { taskId: _taskId, timestamp, ...moved } = progress;
  const next: Task = { ...task, ...moved, updatedAt: timestamp };
  if (attempt > task.attempt) return next;
  return {
    ...next,
    done: Math.max(task.done, next.done),
    uploaded: Math.max(task.uploaded, next.uploaded),
    percentage:
      task.percentage === null || next.percentage === null
        ? next.percentage
        : Math.max(task.percentage, next.percentage),
  };
}

function applyMilestone(task: Task, event: Milestone): Task {
  const { timestamp } = event.data;
  const cursor = parseCursor(event.lastEventId) === undefined ? task.cursor : (event.lastEventId as Cursor);
  const stamped: Task = { ...task, cursor, updatedAt: timestamp };
  const ended = { stage: null, speed: 0, eta: null, endedAt: timestamp };
  switch (event.type) {
    case "status":
      return { ...stamped, status: event.data.status, attempt: Math.max(task.attempt, event.data.attempt) };
    case "stage":
      return { ...stamped, stage: event.data.phase === "begin" ? event.data.stage : null };
    case "attempt":
      return { ...stamped, attempt: Math.max(task.attempt, event.data.attempt) };
    case "complete": {
      // An upload completes with its last byte stored; how far a producer counted is the producer's to say.
      const done = task.kind === "upload" && task.total !== null ? task.total : task.done;
      const uploaded = task.kind === "upload" ? done : task.uploaded;
      const { result } = event.data;
      return { ...stamped, ...ended, status: "completed", result, done, uploaded, percentage: 100 };
    }
    case "failed":
      return { ...stamped, ...ended, status: "failed", error: event.data.error };
    case "cancelled":
      break;
  }
  return { ...stamped, ...ended, status: "cancelled", reason: event.data.reason };
}
