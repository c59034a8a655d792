/**
 * A store in memory, for tests and for hosts that need no durability: the same promises but for the crash.
 */
import { randomBytes } from "node:crypto";
import { isTerminal, type BatchId, type TaskId } from "@holdfast/protocol";
import type { BatchRow, RowProgress, TaskRow } from "../tasks/task-row.js";
import { applyCommit, marksOf } from "./applied-commit.js";
import { CursorClock } from "./cursor-clock.js";
import { mergeDeliveries, NO_DELIVERIES, type DeliveryEntry, type DeliveryLog } from "./delivery-log.js";
import { MemoryHistory } from "./memory-history.js";
import {
  HISTORY_PER_TASK,
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

  /** `historyPerTask`: milestones held of a task beside its ending; 1 or more. */
  constructor(now: () => number = Date.now, historyPerTask: number = HISTORY_PER_TASK) {
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
    this.#history.add(committed.row, committed.milestones);
    for (const milestone of committed.milestones) this.#clock.committed(milestone);
    if (commit.idempotency !== undefined) {
      const { cursor, status } = committed.row;
      this.#answers.set(commit.idempotency.key, { ...commit.idempotency, cursor, status });
    }
    for (const listener of this.#listeners) listener(committed);
    return { kind: "committed", ...committed };
  }

  subscribe(listener: (committed: Committed) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
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
    for (const { id } of idle.slice(0, limit)) this.#batches.delete(id);
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
    if (row === undefined) return undefined;
    const closed = { ...row, closed: true };
    this.#batches.set(id, closed);
    return closed;
  }

  async readIdempotency(key: string): Promise<IdempotencyRecord | undefined> {
    return this.#answers.get(key);
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
