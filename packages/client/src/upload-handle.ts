import type { Task, TaskId } from "@holdfast/protocol";
import type { HoldfastClientError } from "./client-error.js";

/** `sent`: every byte is stored, a producer goes on with it. `done`: the task is completed. */
export type UploadState = "starting" | "sending" | "paused" | "sent" | "done" | "failed" | "cancelled";

/** Why and when the next attempt follows. */
export interface UploadRetry {
  readonly error: HoldfastClientError;
  readonly attempt: number;
  /** Unix milliseconds. */
  readonly nextAttemptAt: number;
}

export interface UploadHandle {
  /** Resolves when the server knows the task. Rejects with what ended the upload before that. */
  readonly id: Promise<TaskId>;
  /** Null until `id` has resolved. */
  readonly taskId: TaskId | null;
  readonly state: UploadState;
  /** Bytes that left this machine; falls back to what is stored after a break. */
  readonly sent: number;
  /** Null for a stream of unknown length. */
  readonly total: number | null;
  /** True when it goes on from before a reload. */
  readonly resumed: boolean;
  /** Set while waiting for the next attempt. */
  readonly retry: UploadRetry | null;
  readonly error: HoldfastClientError | null;
  /** The completed task. Asking for it watches a task that a producer goes on with. Rejects with HTTP_STATUS, TASK_FAILED, CANCELLED, … */
  readonly done: Promise<Task>;
  pause(): void;
  resume(): void;
  /** Ends it here and on the server; resolves when the server has answered. A no-op after the end. */
  cancel(): Promise<void>;
  /** Called after every change. Returns what stops it. */
  subscribe(listener: () => void): () => void;
}
