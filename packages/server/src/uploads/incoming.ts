/**
 * A body on its way to an upload, and what it means when one does not come whole.
 *
 * Promises: whoever sent a body that was not stored whole hears of it; only tus, whose answer is an offset, is answered well.
 * Called by: `Uploads`; routes make an `Incoming` of a request.
 */
import type { Readable } from "node:stream";
import { isTerminal, type TaskErrorCode } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { StopReason } from "./intake.js";

/**
 * - `tus`: more may follow; the answer says how far it came, also when it was cut.
 * - `part`: more may follow.
 * - `whole`: its end is the end of the upload; when it is cut, others can go on with it.
 * - `one-shot`: likewise, but nobody can go on: what was cut has failed.
 */
export type IncomingKind = "tus" | "part" | "whole" | "one-shot";

export interface Incoming {
  readonly kind: IncomingKind;
  readonly source: Readable;
  /** Where the bytes belong: refused unless it is where the upload stands. */
  readonly offset: number;
  /** Bytes announced; null when the length is unknown. */
  readonly length: number | null;
  /** The total that comes with the body when it was deferred; null when none does. */
  readonly total: number | null;
  /** Whether the source has ended as it was announced; asked after it ended. */
  readonly isWhole: () => boolean;
}

/** Whether the end of the body is the end of the upload. */
export function endsUpload({ kind }: Incoming): boolean {
  return kind === "whole" || kind === "one-shot";
}

/** How a body came to its end before the upload had all it needs. */
export interface Cut {
  /** Null: the source ended by itself. */
  readonly reason: StopReason | null;
  readonly ended: boolean;
  readonly parked: boolean;
  /** Length the upload may reach. */
  readonly bound: number | null;
  readonly minFreeDiskBytes: number;
  readonly silenceMs: number;
}

export function toCutError(row: TaskRow, kind: IncomingKind, cut: Cut): HoldfastError {
  const at = `${row.done}${row.total === null ? "" : ` of ${row.total}`} bytes are stored`;
  if (cut.ended) {
    const code = kind === "tus" ? "UPLOAD_GONE" : "TASK_ENDED";
    return new HoldfastError(code, `upload ${row.id} has ended as ${row.status} while its bytes came`);
  }
  switch (cut.reason) {
    case "too-large":
      return new HoldfastError(
        "UPLOAD_TOO_LARGE",
        `the body goes on beyond what the upload may hold: bound ${cut.bound ?? row.done} bytes; nothing beyond was stored`,
      );
    case "disk-full":
      return new HoldfastError(
        "INSUFFICIENT_STORAGE",
        `min-free-disk ${cut.minFreeDiskBytes} was reached: ${at}; go on when there is space`,
        { retryAfterSeconds: 60 },
      );
    case "silent":
      return new HoldfastError(
        "INVALID_REQUEST",
        `no byte of the body came for ${cut.silenceMs} ms (read-timeout): ${at}`,
      );
    case "stopped":
      if (cut.parked) return toDrainingError();
      return new HoldfastError(
        "UPLOAD_LOCKED",
        `another request has gone on with upload ${row.id}: ${at}; ask for the offset and go on there`,
        { retryAfterSeconds: 1 },
      );
    case null:
      return new HoldfastError("INVALID_REQUEST", `the body ended early: ${at}`);
  }
}

export function toDrainingError(): HoldfastError {
  return new HoldfastError("DRAINING", "the server is going away; go on in a moment", {
    retryAfterSeconds: 1,
  });
}

/** What a one-shot failed of, as its task tells it. */
export function toOneShotFailure(row: TaskRow, error: unknown): [TaskErrorCode, string] {
  const stored = `${row.done}${row.total === null ? "" : ` of ${row.total}`} bytes arrived`;
  const code = error instanceof HoldfastError ? error.code : "INTERNAL";
  if (code === "UPLOAD_TOO_LARGE")
    return [code, `the body goes on beyond what the upload may hold: ${stored}`];
  if (code === "INVALID_REQUEST" || code === "UPLOAD_LOCKED" || code === "DRAINING") {
    return ["UPLOAD_INCOMPLETE", `the body ended early: ${stored}; send the file again, or resumably`];
  }
  return ["STORAGE_FAILED", `the body could not be stored: ${stored}; send the file again`];
}

/** Throws UPLOAD_COMPLETE, TASK_ENDED, INVALID_FIELD. */
export function assertReceiving(row: TaskRow): TaskRow & { readonly blobKey: string } {
  if (row.kind !== "upload") {
    throw new HoldfastError("INVALID_FIELD", `task ${row.id} is no upload: it takes no bytes`);
  }
  if (row.status === "processing" || row.status === "completed") {
    throw new HoldfastError("UPLOAD_COMPLETE", `upload ${row.id} has all its ${row.done} bytes`);
  }
  if (isTerminal(row.status) || row.blobKey === null) {
    throw new HoldfastError("TASK_ENDED", `upload ${row.id} has ended as ${row.status}; create another`);
  }
  return { ...row, blobKey: row.blobKey };
}

export function offsetMismatch(row: TaskRow, { offset }: Incoming): HoldfastError {
  return new HoldfastError(
    "OFFSET_MISMATCH",
    `upload ${row.id} holds ${row.done} bytes: got bytes for offset ${offset}; go on at ${row.done}`,
    { field: "Upload-Offset" },
  );
}
