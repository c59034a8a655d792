/**
 * One row of the list from what the server says of a task and what this page does for it; pure.
 *
 * The rule where they disagree: an ending is the server's word, and so is every stored byte. This page's word counts for what only it
 * knows: waiting for a place, paused, sent but not yet stored, or failed before the server had anything to say.
 */
import type { Task } from "@holdfast/client";
import { fromTaskError, type Failure } from "./failure.js";
import type { Transfer } from "./transfers.js";

export type RowStatus =
  | "queued"
  | "starting"
  | "uploading"
  | "retrying"
  | "paused"
  | "processing"
  /** Unfinished, and the file is not at hand any more. */
  | "needs-file"
  /** Another tab or program is sending it. */
  | "elsewhere"
  | "completed"
  | "failed"
  | "cancelled";

export type RowAction = "pause" | "resume" | "choose" | "retry" | "download" | "cancel" | "remove";

export interface RowView {
  /** The task's id, also before the server knows it. */
  readonly key: string;
  readonly status: RowStatus;
  readonly name: string | null;
  /** `bytes`, or what a producer counts. */
  readonly unit: string;
  readonly stored: number;
  readonly total: number | null;
  /** Of what the server stored or a producer reported; null while unknown. */
  readonly percentage: number | null;
  /** Of what left this machine; at least `percentage`. */
  readonly sentPercentage: number | null;
  readonly speed: number;
  readonly etaSeconds: number | null;
  readonly stage: string | null;
  readonly attempt: number;
  readonly retryAtMs: number | null;
  readonly failure: Failure | null;
  readonly contentUrl: string | null;
  readonly actions: readonly RowAction[];
}

export interface RowSources {
  readonly key: string;
  readonly task: Task | undefined;
  readonly transfer: Transfer | undefined;
  /** Bytes of it were seen to arrive a moment ago. */
  readonly movedLately: boolean;
}

export function toRowView({ key, task, transfer, movedLately }: RowSources): RowView {
  const status = toStatus(task, transfer, movedLately);
  const total = task?.total ?? transfer?.file.size ?? null;
  const stored = task?.done ?? 0;
  const done = status === "completed";
  const moving = status === "uploading" || status === "elsewhere" || status === "processing";
  const percentage = done ? 100 : (task?.percentage ?? (total === null ? null : 0));
  return {
    key,
    status,
    name: task?.filename ?? transfer?.file.name ?? readTitle(task),
    unit: task?.unit ?? "bytes",
    stored: done && total !== null ? total : stored,
    total,
    percentage,
    sentPercentage: toSentPercentage(percentage, total, transfer),
    // All bytes are stored while they are processed: what is left of their speed tells nothing.
    speed: moving && !(status === "processing" && task?.kind === "upload") ? (task?.speed ?? 0) : 0,
    etaSeconds: moving ? (task?.eta ?? null) : null,
    stage: status === "processing" ? (task?.stage ?? null) : null,
    attempt: task?.attempt ?? 1,
    retryAtMs: status === "retrying" ? (transfer?.retryAtMs ?? null) : null,
    failure: toFailure(status, task, transfer),
    contentUrl: done && task !== undefined ? task.links.content : null,
    actions: toActions(status, task, transfer),
  };
}

function toStatus(task: Task | undefined, transfer: Transfer | undefined, movedLately: boolean): RowStatus {
  switch (task?.status) {
    case "completed":
    case "failed":
    case "cancelled":
    case "processing":
      return task.status;
    case "pending":
    case "uploading":
    case undefined:
      break;
  }
  if (transfer === undefined) {
    if (task?.kind === "task") return "queued";
    return movedLately ? "elsewhere" : "needs-file";
  }
  switch (transfer.phase) {
    case "queued":
    case "starting":
    case "retrying":
    case "paused":
    case "cancelled":
      return transfer.phase;
    case "sending":
    case "sent":
      return "uploading";
    case "done":
      return "completed";
    case "failed":
      return transfer.failure?.kind === "unreadable" && task !== undefined ? "needs-file" : "failed";
  }
}

function toSentPercentage(
  percentage: number | null,
  total: number | null,
  transfer: Transfer | undefined,
): number | null {
  if (percentage === null || total === null || total === 0 || transfer === undefined) return percentage;
  return Math.max(percentage, Math.min(100, (transfer.sentBytes / total) * 100));
}

function toFailure(
  status: RowStatus,
  task: Task | undefined,
  transfer: Transfer | undefined,
): Failure | null {
  if (status !== "failed" && status !== "needs-file") return null;
  if (task?.status === "failed" && task.error !== null) return fromTaskError(task.error);
  return transfer?.failure ?? null;
}

function toActions(
  status: RowStatus,
  task: Task | undefined,
  transfer: Transfer | undefined,
): readonly RowAction[] {
  switch (status) {
    case "queued":
      return transfer?.begun === false ? ["remove"] : ["cancel"];
    case "starting":
    case "uploading":
    case "retrying":
      return ["pause", "cancel"];
    case "paused":
      return ["resume", "cancel"];
    case "needs-file":
      return ["choose", "cancel"];
    case "processing":
    case "elsewhere":
      return ["cancel"];
    case "completed":
      return task !== undefined && task.links.content !== null ? ["download", "remove"] : ["remove"];
    case "failed":
    case "cancelled":
      if (transfer !== undefined && transfer.failure?.kind !== "unreadable") return ["retry", "remove"];
      return task?.kind === "task" ? ["remove"] : ["choose", "remove"];
  }
}

/** Producers name their tasks in the metadata. */
function readTitle(task: Task | undefined): string | null {
  const title = task?.metadata["title"];
  return typeof title === "string" ? title : null;
}

export function isEnded({ status }: RowView): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
