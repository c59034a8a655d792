/**
 * The task object: what `GET /tasks/{id}`, `connected` and `snapshot` carry.
 */
import type { Cursor } from "./cursor.js";
import type { BatchId, TaskId } from "./id.js";

/** `pending → uploading → processing → completed | failed | cancelled`; the last three are final. */
export type TaskStatus = "pending" | "uploading" | "processing" | "completed" | "failed" | "cancelled";

/** How a task ended. */
export type TerminalStatus = Extract<TaskStatus, "completed" | "failed" | "cancelled">;

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What went wrong with a task; `retryable` says whether doing the whole task again may help. */
export interface TaskError {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
}

/** Path-absolute URLs of a task. `upload` speaks tus, `content` takes PUT and gives GET; both null for a task without bytes. */
export interface TaskLinks {
  readonly self: string;
  readonly stream: string;
  readonly upload: string | null;
  readonly content: string | null;
}

/** The part of a task that moves: the same names in `progress` and in the task object. */
export interface TaskProgress {
  readonly attempt: number;
  readonly status: TaskStatus;
  /** Name of the processing stage under way. */
  readonly stage: string | null;
  /** In `unit`; for uploads: bytes stored. Never backward within an attempt. */
  readonly done: number;
  /** In `unit`; null while unknown. */
  readonly total: number | null;
  /** Equals `done` for uploads; 0 for a task without bytes. */
  readonly uploaded: number;
  /** `bytes` for uploads; whatever the producer named otherwise. */
  readonly unit: string;
  /** 0–100, floored to 0.1, at most 99.9 until completed; null while unknown. */
  readonly percentage: number | null;
  /** Units per second, smoothed; decays to 0 on a stall. */
  readonly speed: number;
  /** Seconds; null when it can't be known. */
  readonly eta: number | null;
  /** Grows with every change of the task, milestone or progress. */
  readonly rev: number;
}

/** Times are Unix seconds. */
export interface Task extends TaskProgress {
  readonly id: TaskId;
  readonly kind: "upload" | "task";
  readonly filename: string | null;
  readonly metadata: { readonly [key: string]: Json };
  readonly batchId: BatchId | null;
  readonly result: Json;
  readonly error: TaskError | null;
  readonly reason: string | null;
  /** Newest milestone of this task. */
  readonly cursor: Cursor;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly endedAt: number | null;
  readonly links: TaskLinks;
}

/** A named set of tasks; `total`, `uploaded` and `percentage` are sums over its tasks. */
export interface Batch {
  readonly batchId: BatchId;
  readonly closed: boolean;
  readonly tasks: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly total: number | null;
  readonly uploaded: number;
  readonly percentage: number | null;
  readonly metadata: { readonly [key: string]: Json };
  readonly createdAt: number;
  readonly links: { readonly self: string; readonly stream: string };
}

export function isTerminal(status: TaskStatus): status is TerminalStatus {
  return status === "completed" || status === "failed" || status === "cancelled";
}
