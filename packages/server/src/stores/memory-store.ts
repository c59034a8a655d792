/**
 * A store in memory, for tests and for hosts that need no durability: the same promises but for the crash.
 */
import { randomBytes } from "node:crypto";
import { isTerminal, type BatchId, type TaskId } from "@holdfast/protocol";
import type { BatchRow, RowProgress, TaskRow } from "../tasks/task-row.js";
import { applyCommit, marksOf } from "./applied-commit.js";
import { batchOwner, endBatch } from "./batch-end.js";
import { CursorClock } from "./cursor-clock.js";
import { mergeDeliveries, NO_DELIVERIES, type DeliveryEntry, type DeliveryLog } from "./delivery-log.js";
import { MemoryHistory } from "./memory-history.js";
import {
  HISTORY_PER_TASK,
  type BatchEndListener,
  type Commit,
  type CommitResult,
  type Committed,
  type IdempotencyRecord,
  type Mark,
  type MilestonePage,
  type MilestoneQuery,
  type Store,
  type TaskQuery,
} from "./store.js";

export class MemoryStore implements Store {
  readonly epoch: string = randomBytes(4).toString("hex");
  readonly #clock: CursorClock;
  readonly #tasks = new Map<TaskId, TaskRow>();
  readonly #expired = new Set<TaskId>();
  readonly #history: MemoryHistory;
  readonly #deliveries = new Map<TaskId, DeliveryLog>();
  readonly #batches = new Map<BatchId, BatchRow>();
  readonly #answers = new Map<string, IdempotencyRecord>();
  readonly #listeners = new Set<(committed: Committed) => void>();
  readonly #endListeners = new Set<BatchEndListener>();
  readonly #now: () => number;

  /** `historyPerTask`: milestones held of a task beside its ending; 1 or more. */
  constructor(now: () => number = Date.now, historyPerTask: number = HISTORY_PER_TASK) {
    this.#now = now;
    this.#history = new MemoryHistory(historyPerTask);
    this.#clock = new CursorClock(this.epoch, { newest: 0, newestMs: 0, reserved: 0, holes: [] }, now);
  }

  async newest(): Promise<Mark> {
    return this.#clock.newest;
  }

  async locate(cursor: string): Promise<number | undefined> {
    const position = this.#clock.locate(cursor);
    return position !== undefined && this.#history.couldBeOf(cursor, position) ? position : undefined;
  }

  async commit(commit: Commit): Promise<CommitResult> {
    const { id } = commit.row;
    const before = commit.idempotency === undefined ? undefined : this.#answers.get(commit.idempotency.key);
    if (before !== undefined) return { kind: "repeated", before };
    const current = this.#tasks.get(id);
    if (commit.expectedVersion === 0) {
      if (current !== undefined || this.#expired.has(id)) return { kind: "taken" };
      if (commit.row.batchId !== null && this.#batches.get(commit.row.batchId)?.closed === true)
        return { kind: "closed" };
    } else if (current?.version !== commit.expectedVersion) {
      return { kind: "conflict" };
    }
    const committed = applyCommit(commit, marksOf(current ?? commit.row), () => this.#clock.draw());
    this.#tasks.set(id, committed.row);
    this.#history.add(committed.row.id, committed.row.batchId, committed.milestones);
    for (const milestone of committed.milestones) this.#clock.committed(milestone);
    const { batchId } = committed.row;
    // Stored with the commit, and told behind it.
    const end = batchId !== null && isTerminal(committed.row.status) ? this.#endIfDone(batchId) : undefined;
    if (commit.idempotency !== undefined) {
      const { cursor, status } = committed.row;
      this.#answers.set(commit.idempotency.key, { ...commit.idempotency, cursor, status });
    }
    for (const listener of this.#listeners) listener(committed);
    end?.();
    return { kind: "committed", ...committed };
  }

  subscribe(listener: (committed: Committed) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  onBatchEnd(listener: BatchEndListener): () => void {
    this.#endListeners.add(listener);
    return () => void this.#endListeners.delete(listener);
  }

  async saveProgress(rows: readonly RowProgress[]): Promise<void> {
    for (const progress of rows) {
      const row = this.#tasks.get(progress.id);
      if (row?.version === progress.version) this.#tasks.set(row.id, { ...row, ...progress });
    }
  }

  async readTask(id: TaskId): Promise<TaskRow | "expired" | undefined> {
    return this.#expired.has(id) ? "expired" : this.#tasks.get(id);
  }

  async listTasks(query: TaskQuery): Promise<readonly TaskRow[]> {
    const all = [...this.#tasks.values()];
    const from = query.after === undefined ? 0 : all.findIndex((row) => row.id === query.after) + 1;
    if (query.after !== undefined && from === 0) return [];
    return all
      .slice(from)
      .filter(
        (row) =>
          (query.kind === undefined || row.kind === query.kind) &&
          (query.status === undefined || row.status === query.status) &&
          (query.batchId === undefined || row.batchId === query.batchId),
      )
      .slice(0, query.limit);
  }

  async readMilestones(query: MilestoneQuery): Promise<MilestonePage> {
    return this.#history.read(query);
  }

  async readTrimmed(of: MilestoneQuery["of"]): Promise<Mark | undefined> {
    return this.#history.trimmed(of);
  }

  async trimMilestones(beforeMs: number, limit: number): Promise<boolean> {
    return this.#history.trim(beforeMs, limit, this.#clock.newest.position);
  }

  async listDue(nowMs: number, limit: number): Promise<readonly TaskRow[]> {
    return [...this.#tasks.values()]
      .filter((row) => row.dueAtMs !== null && row.dueAtMs <= nowMs)
      .toSorted((a, b) => (a.dueAtMs ?? 0) - (b.dueAtMs ?? 0))
      .slice(0, limit);
  }

  async listReceiving(): Promise<readonly TaskRow[]> {
    return [...this.#tasks.values()].filter(
      (row) => row.kind === "upload" && row.status !== "processing" && !isTerminal(row.status),
    );
  }

  async expireTask(id: TaskId): Promise<void> {
    this.#tasks.delete(id);
    this.#expired.add(id);
    this.#history.forget(id);
    this.#deliveries.delete(id);
  }

  async expireBatches(createdBeforeMs: number, limit: number): Promise<boolean> {
    const used = new Set([...this.#tasks.values()].map(({ batchId }) => batchId));
    const idle = [...this.#batches.values()].filter(
      ({ id, createdAtMs }) => createdAtMs < createdBeforeMs && !used.has(id),
    );
    for (const { id } of idle.slice(0, limit)) {
      this.#batches.delete(id);
      this.#history.forget(batchOwner(id));
    }
    return idle.length > limit;
  }

  async recordDeliveries(entries: readonly DeliveryEntry[]): Promise<void> {
    for (const entry of entries) {
      const { taskId } = entry;
      if (!this.#tasks.has(taskId)) continue;
      this.#deliveries.set(taskId, mergeDeliveries(this.#deliveries.get(taskId) ?? NO_DELIVERIES, [entry]));
    }
  }

  async readDeliveries(id: TaskId): Promise<DeliveryLog> {
    return this.#deliveries.get(id) ?? NO_DELIVERIES;
  }

  async createBatch(row: BatchRow): Promise<{ readonly row: BatchRow; readonly created: boolean }> {
    const current = this.#batches.get(row.id);
    if (current !== undefined) return { row: current, created: false };
    this.#batches.set(row.id, row);
    return { row, created: true };
  }

  async readBatch(id: BatchId): Promise<BatchRow | undefined> {
    return this.#batches.get(id);
  }

  async closeBatch(id: BatchId): Promise<BatchRow | undefined> {
    const row = this.#batches.get(id);
    if (row === undefined || row.closed) return row;
    this.#batches.set(id, { ...row, closed: true });
    this.#endIfDone(id)?.();
    return this.#batches.get(id);
  }

  async readIdempotency(key: string): Promise<IdempotencyRecord | undefined> {
    return this.#answers.get(key);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }

  /** Returns what tells of the end; undefined when the batch has not ended now. */
  #endIfDone(id: BatchId): (() => void) | undefined {
    const row = this.#batches.get(id);
    if (row?.closed !== true || row.end !== null) return undefined;
    const counts = { completed: 0, failed: 0, cancelled: 0 };
    for (const { batchId, status } of this.#tasks.values()) {
      if (batchId !== id) continue;
      if (!isTerminal(status)) return undefined;
      counts[status] += 1;
    }
    const before = this.#clock.newest;
    const ended = endBatch(row, counts, { before, mark: this.#clock.draw(), nowMs: this.#now() });
    this.#batches.set(id, ended.row);
    this.#history.add(batchOwner(id), id, [ended.milestone]);
    this.#clock.committed(ended.milestone);
    return () => {
      for (const listener of this.#endListeners) listener(id, ended.milestone);
    };
  }
}
