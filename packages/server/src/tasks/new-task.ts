/**
 * The first row of a task and its first milestone. A task has a cursor from its first moment, so no stream ever lacks one.
 */
import { randomBytes } from "node:crypto";
import type { BatchId, Cursor, Json, StatusData, TaskId } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { Change } from "./lifecycle.js";

/** What a creator decides. `id` undefined: drawn here from 128 random bits. */
export interface NewTask {
  readonly id?: TaskId | undefined;
  readonly kind: "upload" | "task";
  readonly filename: string | null;
  /** In `unit`; null while unknown. */
  readonly total: number | null;
  readonly unit: string;
  readonly metadata: { readonly [key: string]: Json };
  readonly batchId: BatchId | null;
  readonly processing: "none" | "external";
  readonly maxAttempts: number;
  readonly blobKey: string | null;
  readonly tusMetadata: string | null;
}

/** 128 random bits in base64url: 22 characters of the id alphabet. */
const MAX_METADATA_BYTES = 16_384;

function newTaskId(): TaskId {
  return randomBytes(16).toString("base64url") as TaskId;
}

/** Every stream of a task begins with its metadata, so it must fit into what a connection may hold. Throws INVALID_FIELD. */
export function assertMetadata(metadata: { readonly [key: string]: Json }): void {
  const bytes = Buffer.byteLength(JSON.stringify(metadata));
  if (bytes <= MAX_METADATA_BYTES) return;
  throw new HoldfastError(
    "INVALID_FIELD",
    `metadata must not exceed ${MAX_METADATA_BYTES} bytes of JSON: got ${bytes}; store it elsewhere and send a link`,
    { field: "/metadata" },
  );
}

export function newTaskRow(task: NewTask, nowMs: number): Change {
  const id = task.id ?? newTaskId();
  const first: StatusData = {
    taskId: id,
    attempt: 1,
    status: "pending",
    previous: null,
    timestamp: Math.floor(nowMs / 1_000),
  };
  const unset = "" as Cursor; // the store fills it in with the commit
  return {
    milestones: [{ event: "status", data: JSON.stringify(first), ending: false }],
    row: {
      ...task,
      id,
      status: "pending",
      stage: null,
      attempt: 1,
      retryUntilMs: null,
      oneShot: false,
      done: 0,
      producerPercentage: null,
      result: null,
      error: null,
      reason: null,
      cancelRequested: false,
      rev: 1,
      version: 1,
      cursor: unset,
      position: 0,
      openCursor: unset,
      openPosition: 0,
      createdAtMs: nowMs,
      updatedAtMs: nowMs,
      endedAtMs: null,
      seenAtMs: null,
      leaseUntilMs: null,
      dueAtMs: null,
    },
  };
}
