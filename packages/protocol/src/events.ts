/**
 * What travels on the stream, by event name. Times are Unix seconds unless the name ends in `Ms`.
 *
 * Milestones carry an `id:`, their cursor, and are never lost, merged or reordered. `connected` carries the cursor that
 * the stream starts from. Nothing else has an id.
 */
import type { Cursor } from "./cursor.js";
import type { BatchId, TaskId } from "./id.js";
import type { Json, Task, TaskError, TaskProgress, TaskStatus } from "./task.js";

/** First on every connection. On a stream of one task it carries the whole task. */
export interface ConnectedData {
  readonly taskId: TaskId;
  readonly timestamp: number;
  readonly cursor: Cursor;
  /** True when milestones after the client's own cursor follow. */
  readonly resumed: boolean;
  readonly heartbeatMs: number;
  readonly task: Task;
}

/** First on a connection of many tasks; one `snapshot` per task follows. */
export interface ConnectedManyData {
  readonly batchId: BatchId | null;
  readonly taskIds: readonly TaskId[];
  readonly timestamp: number;
  readonly cursor: Cursor;
  readonly resumed: boolean;
  readonly heartbeatMs: number;
}

export interface SnapshotData {
  readonly task: Task;
}

export interface UnavailableData {
  readonly taskId: string;
  readonly code: string;
}

export interface ProgressData extends TaskProgress {
  readonly taskId: TaskId;
  readonly timestamp: number;
}

export interface StatusData {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly status: TaskStatus;
  /** Null on the first status of a task. */
  readonly previous: TaskStatus | null;
  readonly timestamp: number;
}

export interface StageData {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly stage: string;
  readonly phase: "begin" | "end";
  readonly timestamp: number;
}

/** An attempt failed and another follows. */
export interface AttemptData {
  readonly taskId: TaskId;
  /** The one that failed. */
  readonly attempt: number;
  readonly reason: string;
  readonly error: TaskError | null;
  readonly retryInMs: number;
  readonly timestamp: number;
}

/** An event of the producer's own; its name is the producer's `type`. */
export interface CustomData {
  readonly taskId: TaskId;
  readonly attempt: number;
  readonly timestamp: number;
  readonly data: Json;
}

export interface HeartbeatData {
  readonly timestamp: number;
  readonly timestampMs: number;
  /** Last milestone written earlier on this connection. */
  readonly cursor: Cursor;
  /** Milliseconds since the producer's last sign of life; null when there was none. */
  readonly producerSeenMs: number | null;
  /** On the one that ends an answer to a poll: what to hand back as `rev` with the next. Opaque. */
  readonly rev?: string;
}

export interface CompleteData {
  readonly taskId: TaskId;
  readonly timestamp: number;
  readonly result: Json;
}

export interface FailedData {
  readonly taskId: TaskId;
  readonly timestamp: number;
  readonly error: TaskError;
}

export interface CancelledData {
  readonly taskId: TaskId;
  readonly timestamp: number;
  readonly reason: string | null;
}

/** Milestones after `from` are no longer held; the snapshot stands for them. `taskId` is null on a stream of many. */
export interface GapData {
  readonly taskId: TaskId | null;
  /** As the client sent it, cut to 128 characters. */
  readonly from: string;
  readonly to: Cursor;
}

export interface DrainData {
  readonly reconnectInMs: number;
}

export interface BatchData {
  readonly batchId: BatchId;
  readonly tasks: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly total: number | null;
  readonly uploaded: number;
  readonly percentage: number | null;
}

/** Every task of a closed batch, or every task named, has ended. */
export interface BatchCompleteData {
  readonly batchId: BatchId | null;
  readonly tasks: number;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly timestamp: number;
}

/** Event name → data. Custom events have names outside this table. */
export interface StreamEvents {
  connected: ConnectedData | ConnectedManyData;
  snapshot: SnapshotData;
  unavailable: UnavailableData;
  progress: ProgressData;
  status: StatusData;
  stage: StageData;
  attempt: AttemptData;
  heartbeat: HeartbeatData;
  complete: CompleteData;
  failed: FailedData;
  cancelled: CancelledData;
  gap: GapData;
  drain: DrainData;
  batch: BatchData;
  batchComplete: BatchCompleteData;
}

export type StreamEventName = keyof StreamEvents;

/** Every name of the table, for subscribing to all of them. */
export const STREAM_EVENT_NAMES: readonly StreamEventName[] = [
  "connected",
  "snapshot",
  "unavailable",
  "progress",
  "status",
  "stage",
  "attempt",
  "heartbeat",
  "complete",
  "failed",
  "cancelled",
  "gap",
  "drain",
  "batch",
  "batchComplete",
];

/** The three events that end a task. */
export type EndingName = "complete" | "failed" | "cancelled";

export function isEnding(event: string): event is EndingName {
  return event === "complete" || event === "failed" || event === "cancelled";
}

const CUSTOM = /^[a-z][a-z0-9._-]{0,63}$/;
// `message`, `open` and `error` belong to EventSource itself and `state` to its client of ours; the report types that are no events are refused
// alike.
const RESERVED: ReadonlySet<string> = new Set([
  ...STREAM_EVENT_NAMES,
  "message",
  "open",
  "error",
  "state",
  "fail",
]);

/** Whether a producer may use this name for an event of its own. */
export function isCustomEventName(name: string): boolean {
  return CUSTOM.test(name) && !RESERVED.has(name);
}
