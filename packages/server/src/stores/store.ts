/**
 * What the service asks of a store of tasks and milestones.
 *
 * Written with Redis Streams in mind: every call is asynchronous, a commit is one atomic step with an optimistic version
 * (one script there, one transaction here), positions come from one counter, and nobody else may know which store it is.
 *
 * Promises of every implementation, held by one suite (`store-suite.ts`)
 * - A commit is whole or not at all, and stored when its promise resolves: it survives kill -9. Commits with an ending survive loss of power.
 * - Positions grow strictly in the order in which commits resolve, across tasks; none is used twice, also not after a crash.
 * - A cursor's time never goes back, also when the clock does.
 * - A page of milestones with `done` holds everything that had been committed when it was read, but for what it says was trimmed.
 * - Of a task the newest `historyPerTask` milestones are held, and its ending as long as the task.
 * - A batch that is closed ends with the last ending of its tasks, or with its closing: in the same commit, as the milestone right
 *   behind it, once, and held as long as the batch.
 */
import type { BatchId, Cursor, TaskId, TaskStatus } from "@holdfast/protocol";
import type { BatchRow, RowProgress, TaskRow } from "../tasks/task-row.js";
import type { DeliveryEntry, DeliveryLog } from "./delivery-log.js";

/** A milestone before it is stored. */
export interface MilestoneDraft {
  readonly event: string;
  /** JSON text of the event's data. */
  readonly data: string;
  readonly ending: boolean;
}

export interface StoredMilestone extends MilestoneDraft {
  /** Null: the end of a batch, which belongs to none of its tasks. */
  readonly taskId: TaskId | null;
  readonly cursor: Cursor;
  readonly position: number;
}

export interface TaskMilestone extends StoredMilestone {
  readonly taskId: TaskId;
}

/** Cursor fields are the store's to fill; what they hold before is ignored. */
export interface Commit {
  readonly row: TaskRow;
  /** The version the change was computed from; 0 creates. */
  readonly expectedVersion: number;
  readonly milestones: readonly MilestoneDraft[];
  /** Kept with the commit and its cursor, so that the same request again changes nothing and gets the same answer. */
  readonly idempotency?: IdempotencyKey | undefined;
}

export interface IdempotencyKey {
  readonly key: string;
  /** Hash of the request: the same key with another request is refused. */
  readonly fingerprint: string;
}

/** What the commit of that key left. */
export interface IdempotencyRecord extends IdempotencyKey {
  readonly cursor: Cursor;
  readonly status: TaskStatus;
}

/** Milestones held of a task beside its ending, unless the store is told otherwise: megabytes at most, and more than a person can read. */
export const HISTORY_PER_TASK = 1_000;

/** A place in the store's total order. */
export interface Mark {
  readonly cursor: Cursor;
  readonly position: number;
}

/** What every node hears of every commit, its own included. */
export interface Committed {
  readonly row: TaskRow;
  readonly milestones: readonly TaskMilestone[];
}

export type BatchEndListener = (id: BatchId, end: StoredMilestone) => void;

/** `conflict`: another commit came first, read again. `taken`: a task of that id exists or existed. `closed`: the batch of a new task takes no more. `repeated`: the idempotency key was committed before, by this request or another; looked at before the version. */
export type CommitResult =
  | ({ readonly kind: "committed" } & Committed)
  | { readonly kind: "conflict" }
  | { readonly kind: "taken" }
  | { readonly kind: "closed" }
  | { readonly kind: "repeated"; readonly before: IdempotencyRecord };

export interface MilestoneQuery {
  /** All tasks of the batch, or the tasks named. */
  readonly of: { readonly batchId: BatchId } | { readonly taskIds: readonly TaskId[] };
  /** Exclusive. */
  readonly after: number;
  readonly limit: number;
  /** Up to this position only endings: what a late joiner needs beside its snapshots. */
  readonly endingsOnlyUpTo: number;
}

export interface MilestonePage {
  readonly milestones: readonly StoredMilestone[];
  /** Nothing newer was stored when the page was read. */
  readonly done: boolean;
  /** The newest milestone of these tasks that is no longer held, in the same moment; undefined when all are. */
  readonly trimmed: Mark | undefined;
}

export interface TaskQuery {
  readonly kind?: "upload" | "task" | undefined;
  readonly status?: TaskStatus | undefined;
  readonly batchId?: BatchId | undefined;
  /** Id of the last task of the page before; pages are in order of creation. */
  readonly after?: TaskId | undefined;
  readonly limit: number;
}

export interface Store {
  /** `[a-z0-9]{1,16}`, drawn when the store was made; part of every cursor. */
  readonly epoch: string;
  /** The newest milestone; position 0 in an empty store. */
  newest(): Promise<Mark>;
  /** The position a cursor names; undefined when it is of another store, of the future, or was never committed. */
  locate(cursor: string): Promise<number | undefined>;

  commit(commit: Commit): Promise<CommitResult>;
  /** The live edge: called for every commit in order of position, before the promise of `commit` resolves. */
  subscribe(listener: (committed: Committed) => void): () => void;
  /** The live edge of batches: called in the order of positions among those of `subscribe`. */
  onBatchEnd(listener: BatchEndListener): () => void;
  /** Rows whose version has moved on are passed over: the commit had the newer truth. */
  saveProgress(rows: readonly RowProgress[]): Promise<void>;

  readTask(id: TaskId): Promise<TaskRow | "expired" | undefined>;
  listTasks(query: TaskQuery): Promise<readonly TaskRow[]>;
  readMilestones(query: MilestoneQuery): Promise<MilestonePage>;
  /** `trimmed` of a page, without the page. */
  readTrimmed(of: MilestoneQuery["of"]): Promise<Mark | undefined>;
  /** Lets go of milestones made before the time, endings and the newest of all excepted; looks at `limit` of them, oldest first, and returns whether there may be more. */
  trimMilestones(beforeMs: number, limit: number): Promise<boolean>;
  /** Tasks whose `dueAtMs` is at or before the time, soonest first. */
  listDue(nowMs: number, limit: number): Promise<readonly TaskRow[]>;
  /** Uploads that have not got all their bytes: looked at once on start, against their files. */
  listReceiving(): Promise<readonly TaskRow[]>;
  /** Removes a task and its milestones; its id answers `expired` from then on and can't be taken again. */
  expireTask(id: TaskId): Promise<void>;
  /** Removes batches that were made before and have no task, at most `limit`; true when there may be more. */
  expireBatches(createdBeforeMs: number, limit: number): Promise<boolean>;

  /** Adds to what is known of who was sent endings; entries of tasks that are gone are passed over. Need not survive loss of power. */
  recordDeliveries(entries: readonly DeliveryEntry[]): Promise<void>;
  readDeliveries(id: TaskId): Promise<DeliveryLog>;
  /** Creates the batch unless it exists; returns it as it then is. */
  createBatch(row: BatchRow): Promise<{ readonly row: BatchRow; readonly created: boolean }>;
  readBatch(id: BatchId): Promise<BatchRow | undefined>;
  /** Closed once, it stays as it is. Survives loss of power. */
  closeBatch(id: BatchId): Promise<BatchRow | undefined>;

  readIdempotency(key: string): Promise<IdempotencyRecord | undefined>;

  /** Flushes and lets go; a second call is harmless. */
  close(): Promise<void>;
}
