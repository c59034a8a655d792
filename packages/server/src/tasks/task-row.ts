/**
 * A task as stored: the whole truth about it but for its bytes and its history.
 *
 * Rows are immutable; `version` grows with every commit, so that two nodes can't overwrite each other, and `rev` with
 * every change a reader can see.
 */
import type { BatchId, Cursor, Json, TaskError, TaskId, TaskStatus } from "@holdfast/protocol";
import type { Mark } from "../stores/store.js";

export interface TaskRow {
  readonly id: TaskId;
  readonly kind: "upload" | "task";
  readonly status: TaskStatus;
  readonly stage: string | null;
  /** From 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** On the clock of `dueAtMs`. Set while an attempt has failed and the next has not begun: until then it may begin. */
  readonly retryUntilMs: number | null;
  readonly filename: string | null;
  readonly done: number;
  readonly total: number | null;
  readonly unit: string;
  /** What the percentage does not fall below: the highest a producer has reached in this attempt; null before. */
  readonly producerPercentage: number | null;
  readonly metadata: { readonly [key: string]: Json };
  readonly batchId: BatchId | null;
  /** Who completes an upload: its last byte, or a producer. */
  readonly processing: "none" | "external";
  /** Its bytes come in one request; when that is cut, also by a crash, nobody can go on with it. */
  readonly oneShot: boolean;
  readonly result: Json;
  readonly error: TaskError | null;
  readonly reason: string | null;
  /** A producer is asked to stop; told in the answer to its next report. */
  readonly cancelRequested: boolean;
  readonly rev: number;
  readonly version: number;
  /** Newest milestone. */
  readonly cursor: Cursor;
  readonly position: number;
  /** Newest milestone that is no ending: where a late joiner starts. */
  readonly openCursor: Cursor;
  readonly openPosition: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly endedAtMs: number | null;
  // These are on the steady clock of the process that wrote them: Unix milliseconds that no setting of the clock has moved.
  /** Last byte stored or last report heard. */
  readonly seenAtMs: number | null;
  /** The producer promised to be heard again before this. */
  readonly leaseUntilMs: number | null;
  /** When something must happen if nothing else does: expiry, a lapsed lease, retention. Null: never. */
  readonly dueAtMs: number | null;
  /** Name of the bytes in the blob store; null for a task without bytes and after they were removed. */
  readonly blobKey: string | null;
  /** `Upload-Metadata` as the client sent it; tus gives it back in HEAD. */
  readonly tusMetadata: string | null;
}

/** The fields that progress moves; kept in memory and stored at leisure, since the file's length is the truth after a crash. */
export type RowProgress = Pick<
  TaskRow,
  | "id"
  | "version"
  | "done"
  | "total"
  | "producerPercentage"
  | "rev"
  | "updatedAtMs"
  | "seenAtMs"
  | "leaseUntilMs"
  | "dueAtMs"
>;

export interface BatchRow {
  readonly id: BatchId;
  readonly closed: boolean;
  /** Null while a task of it has not ended, or may be added. The store's to fill. */
  readonly end: BatchEnd | null;
  readonly metadata: { readonly [key: string]: Json };
  readonly createdAtMs: number;
}

export interface BatchEnd {
  /** Where `batchComplete` lies. */
  readonly mark: Mark;
  /** The newest milestone before it: where a late joiner starts. */
  readonly before: Mark;
}
