/**
 * Rows as the wire shows them. One function makes `percentage`, so that status, snapshot and stream can't disagree.
 */
import { isTerminal, type ProgressData, type Task, type TaskProgress } from "@holdfast/protocol";
import type { TaskRow } from "./task-row.js";

/** `basePath` is where the service is mounted, without a trailing slash; `speed` in units a second. */
export function toTask(row: TaskRow, speed: number, basePath: string): Task {
  const noun = row.kind === "upload" ? "uploads" : "tasks";
  const self = `${basePath}/api/v1/${noun}/${row.id}`;
  const upload = row.kind === "upload";
  return {
    id: row.id,
    kind: row.kind,
    ...toProgressFields(row, speed),
    filename: row.filename,
    metadata: row.metadata,
    batchId: row.batchId,
    result: row.result,
    error: row.status === "failed" ? row.error : null,
    reason: row.reason,
    cursor: row.cursor,
    createdAt: toSeconds(row.createdAtMs),
    updatedAt: toSeconds(row.updatedAtMs),
    endedAt: row.endedAtMs === null ? null : toSeconds(row.endedAtMs),
    links: {
      self,
      stream: `${self}/stream`,
      upload: upload ? self : null,
      content: upload ? `${self}/content` : null,
    },
  };
}

export function toProgress(row: TaskRow, speed: number, nowMs: number): ProgressData {
  return { taskId: row.id, ...toProgressFields(row, speed), timestamp: toSeconds(nowMs) };
}

function toProgressFields(row: TaskRow, speed: number): TaskProgress {
  // What an upload moves are its bytes: once they are all here it stands still, whatever its producer does.
  const moves = row.kind === "upload" ? row.status === "uploading" : !isTerminal(row.status);
  const moving = moves && speed > 0;
  return {
    attempt: row.attempt,
    status: row.status,
    stage: row.stage,
    done: row.done,
    total: row.total,
    uploaded: row.kind === "upload" ? row.done : 0,
    unit: row.unit,
    percentage: toPercentage(row),
    speed: moving ? speed : 0,
    eta: moving && row.total !== null ? Math.ceil((row.total - row.done) / speed) : null,
    rev: row.rev,
  };
}

/** 0–100, floored to 0.1, ≤ 99.9 until completed; null while the total is unknown. */
export function toPercentage(row: TaskRow): number | null {
  if (row.status === "completed") return 100;
  if (row.total === null) return null;
  const own = row.total === 0 ? 0 : (row.done / row.total) * 100;
  return Math.min(99.9, floorTenth(Math.max(own, row.producerPercentage ?? 0)));
}

export function toSeconds(ms: number): number {
  return Math.floor(ms / 1_000);
}

function floorTenth(percentage: number): number {
  // The nudge undoes binary fractions such as 0.7 × 100 = 69.99999…; it is far below a tenth.
  return Math.floor(percentage * 10 + 1e-9) / 10;
}
