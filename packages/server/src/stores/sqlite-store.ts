/**
 * The embedded store: one SQLite file in the data directory, in WAL mode, for one process.
 *
 * Format: `tasks.row` holds the whole row as JSON; the columns beside it are what is searched by. `milestones.seq` is the
 * position. `meta` holds the epoch and the cursor clock.
 *
 * Algorithm: commits of one turn of the event loop are one transaction. A commit without an ending is written to the WAL
 * and not synced (it survives kill -9); a transaction with an ending, or one that reserves positions, is synced whole, and
 * with it everything before it in the WAL (it survives loss of power). Measured: 0.02 ms and 0.24 ms a transaction,
 * docs/decisions/0003.
 *
 * Failure rule: a transaction that fails is rolled back whole, every caller in it is told, nothing is published, and the
 * positions drawn are skipped. A file that another process holds is refused on opening.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BatchId, TaskId } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { BatchRow, RowProgress, TaskRow } from "../tasks/task-row.js";
import { applyCommit, marksOf } from "./applied-commit.js";
import { CommitQueue, type QueuedCommit } from "./commit-queue.js";
import type { CursorClock } from "./cursor-clock.js";
import type { DeliveryEntry, DeliveryLog } from "./delivery-log.js";
import { openDatabase, type SqlDatabase, type SqlRecord, toStoreError } from "./sqlite-driver.js";
import { SqliteBatches } from "./sqlite-batches.js";
import { SqliteDeliveries } from "./sqlite-deliveries.js";
import { SqliteHistory } from "./sqlite-history.js";
import { SqliteMeta } from "./sqlite-meta.js";
import { SCHEMA, STATEMENTS, type SqlStatements } from "./sqlite-schema.js";
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
  type StoredMilestone,
  type TaskQuery,
} from "./store.js";

export interface SqliteStoreOptions {
  /** Made when it does not exist; holds `holdfast.db` and its WAL. */
  readonly directory: string;
  /** Milestones held of a task beside its ending; 1 or more. */
  readonly historyPerTask?: number;
  /** Unix milliseconds. */
  readonly now?: () => number;
}

// Ids of expired tasks answer 410 for so long.
const TOMBSTONE_MS = 30 * 86_400_000;
// A request may be repeated with its Idempotency-Key for so long.
const IDEMPOTENCY_MS = 86_400_000;

/** Throws STORE_UNAVAILABLE when the file can't be opened, is of a newer version, or is held by another process. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const path = join(options.directory, "holdfast.db");
  try {
    mkdirSync(options.directory, { recursive: true });
    return new SqliteStore(
      openDatabase(path),
      options.now ?? Date.now,
      options.historyPerTask ?? HISTORY_PER_TASK,
    );
  } catch (error) {
    if (error instanceof HoldfastError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    const held = /locked|busy/i.test(reason);
    throw new HoldfastError(
      "STORE_UNAVAILABLE",
      held
        ? `data directory ${options.directory} is in use by another server; stop that one or name another data-dir`
        : `data directory ${options.directory} can't be used: ${reason}; name a data-dir that this user may write`,
      { cause: error },
    );
  }
}

class SqliteStore implements Store {
  readonly epoch: string;
  readonly #db: SqlDatabase;
  readonly #sql: SqlStatements;
  readonly #meta: SqliteMeta;
  readonly #clock: CursorClock;
  readonly #history: SqliteHistory;
  readonly #deliveries: SqliteDeliveries;
  readonly #batches: SqliteBatches;
  readonly #now: () => number;
  readonly #listeners = new Set<(committed: Committed) => void>();
  readonly #endListeners = new Set<BatchEndListener>();
  readonly #queue = new CommitQueue((queued) => this.#write(queued));
  #closed = false;

  constructor(db: SqlDatabase, now: () => number, historyPerTask: number) {
    this.#db = db;
    this.#now = now;
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    const version = Number(db.prepare("PRAGMA user_version").get()?.["user_version"] ?? 0);
    if (version > 1) {
      throw new HoldfastError(
        "STORE_UNAVAILABLE",
        `the store is of version ${version}, this server knows version 1; run the newer server`,
      );
    }
    db.exec(SCHEMA);
    this.#sql = Object.fromEntries(
      Object.entries(STATEMENTS).map(([name, text]) => [name, db.prepare(text)]),
    ) as SqlStatements;
    this.#meta = new SqliteMeta(this.#sql);
    this.#clock = this.#meta.openClock(now);
    this.epoch = this.#clock.epoch;
    this.#deliveries = new SqliteDeliveries(this.#sql);
    this.#history = new SqliteHistory(this.#sql, this.#clock, historyPerTask);
    this.#batches = new SqliteBatches(this.#sql, this.#history);
    // Of an older server, which left it to each stream to find that a batch was over.
    for (const id of this.#batches.unended()) {
      const end = this.#drawing(1, true, () => this.#endIfDone(id, this.#clock.newest));
      if (end !== undefined) this.#clock.committed(end);
    }
  }

  async newest(): Promise<Mark> {
    return this.#clock.newest;
  }

  async locate(cursor: string): Promise<number | undefined> {
    const position = this.#clock.locate(cursor);
    return position !== undefined && this.#history.couldBeOf(cursor, position) ? position : undefined;
  }

  async commit(commit: Commit): Promise<CommitResult> {
    if (this.#closed) throw new HoldfastError("STORE_UNAVAILABLE", "the store is closed");
    return await this.#queue.add(commit);
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
    this.#transaction(false, () => {
      for (const progress of rows) {
        const found = this.#sql.readTask.get(progress.id);
        if (found?.["version"] !== progress.version) continue;
        const row = { ...toRow(found), ...progress };
        this.#sql.updateTask.run(
          row.status,
          row.version,
          row.dueAtMs,
          JSON.stringify(row),
          row.id,
          row.version,
        );
      }
    });
  }

  async readTask(id: TaskId): Promise<TaskRow | "expired" | undefined> {
    const found = this.#sql.readTask.get(id);
    if (found !== undefined) return toRow(found);
    return this.#sql.readTombstone.get(id) === undefined ? undefined : "expired";
  }

  async listTasks(query: TaskQuery): Promise<readonly TaskRow[]> {
    const { kind = null, status = null, batchId = null, after = null, limit } = query;
    return this.#sql.listTasks.all(after, kind, kind, status, status, batchId, batchId, limit).map(toRow);
  }

  async readMilestones(query: MilestoneQuery): Promise<MilestonePage> {
    return this.#history.read(query);
  }

  async readTrimmed(of: MilestoneQuery["of"]): Promise<Mark | undefined> {
    return this.#history.trimmed(of);
  }

  async trimMilestones(beforeMs: number, limit: number): Promise<boolean> {
    if (!this.#history.hasOlder(beforeMs)) return false;
    return this.#transaction(false, () => {
      this.#meta.noteFloor(this.#clock.newest);
      return this.#history.trim(beforeMs, limit);
    });
  }

  async listDue(nowMs: number, limit: number): Promise<readonly TaskRow[]> {
    return this.#sql.listDue.all(nowMs, limit).map(toRow);
  }

  async listReceiving(): Promise<readonly TaskRow[]> {
    return this.#sql.listReceiving.all().map(toRow);
  }

  async expireTask(id: TaskId): Promise<void> {
    const nowMs = this.#now();
    const found = this.#sql.readTask.get(id);
    this.#transaction(false, () => {
      this.#meta.noteFloor(this.#clock.newest);
      this.#sql.deleteTask.run(id);
      this.#deliveries.forget(id);
      this.#history.forget(id, found === undefined ? null : toRow(found).batchId);
      this.#sql.addTombstone.run(id, nowMs);
      this.#sql.pruneTombstones.run(nowMs - TOMBSTONE_MS);
      this.#sql.pruneIdempotency.run(nowMs - IDEMPOTENCY_MS);
    });
  }

  async expireBatches(createdBeforeMs: number, limit: number): Promise<boolean> {
    return this.#transaction(false, () => {
      this.#meta.noteFloor(this.#clock.newest);
      this.#sql.pruneTrimmed.run(this.#now() - TOMBSTONE_MS);
      return this.#batches.expire(createdBeforeMs, limit);
    });
  }

  async recordDeliveries(entries: readonly DeliveryEntry[]): Promise<void> {
    this.#transaction(false, () => this.#deliveries.record(entries));
  }

  async readDeliveries(id: TaskId): Promise<DeliveryLog> {
    return this.#deliveries.read(id);
  }

  async createBatch(row: BatchRow): Promise<{ readonly row: BatchRow; readonly created: boolean }> {
    const created = this.#guard(() => this.#batches.create(row));
    return { row: this.#batches.find(row.id) ?? row, created };
  }

  async readBatch(id: BatchId): Promise<BatchRow | undefined> {
    return this.#batches.find(id);
  }

  async closeBatch(id: BatchId): Promise<BatchRow | undefined> {
    const row = this.#batches.find(id);
    if (row === undefined || row.closed) return row;
    const end = this.#drawing(1, true, () => {
      this.#batches.close(row);
      return this.#endIfDone(id, this.#clock.newest);
    });
    if (end !== undefined) this.#tellEnd(id, end);
    return this.#batches.find(id);
  }

  async readIdempotency(key: string): Promise<IdempotencyRecord | undefined> {
    return this.#findIdempotency(key);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#queue.empty();
    this.#closed = true;
    this.#transaction(true, () => this.#meta.stop(this.#clock.newest));
    // The package for Node 20 keeps the file open while a statement is alive: the lock is let go of by hand, once there is no WAL.
    this.#db.exec("PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL; BEGIN IMMEDIATE; COMMIT");
    this.#db.close();
    this.#listeners.clear();
  }

  /** One transaction; tells and resolves when it stands. Throws when none of it does. */
  #write(queued: readonly QueuedCommit[]): void {
    const drafts = queued.flatMap(({ commit }) => commit.milestones);
    const endings = drafts.filter(({ ending }) => ending).length;
    // Each ending may be the last of its batch, which then ends behind it.
    const applied = this.#drawing(drafts.length + endings, endings > 0, () =>
      queued.map(({ commit }) => {
        const result = this.#apply(commit);
        return { result, end: this.#endOfBatch(result) };
      }),
    );
    for (const [index, { commit, resolve }] of queued.entries()) {
      const { result, end } = applied[index] ?? {};
      if (result === undefined) continue;
      if (result.kind === "committed") {
        for (const milestone of result.milestones) this.#clock.committed(milestone);
        for (const listener of this.#listeners) listener(result);
      }
      if (end !== undefined && commit.row.batchId !== null) this.#tellEnd(commit.row.batchId, end);
      resolve(result);
    }
  }

  #endOfBatch(result: CommitResult): StoredMilestone | undefined {
    if (result.kind !== "committed" || result.row.batchId === null) return undefined;
    return result.milestones.at(-1)?.ending === true
      ? this.#endIfDone(result.row.batchId, result.row)
      : undefined;
  }

  #endIfDone(id: BatchId, { cursor, position }: Mark): StoredMilestone | undefined {
    return this.#batches.endIfDone(id, this.#now(), { cursor, position }, () => this.#clock.draw());
  }

  #tellEnd(id: BatchId, end: StoredMilestone): void {
    this.#clock.committed(end);
    for (const listener of this.#endListeners) listener(id, end);
  }

  /** A transaction that draws at most `count` positions. */
  #drawing<T>(count: number, synced: boolean, run: () => T): T {
    const needsBlock = this.#clock.needsBlock(count);
    const block = this.#clock.nextBlock(count);
    const result = this.#transaction(needsBlock || synced, () => {
      if (needsBlock) this.#meta.reserve(block);
      return run();
    });
    if (needsBlock) this.#clock.reserve(block);
    return result;
  }

  #apply(commit: Commit): CommitResult {
    const { idempotency } = commit;
    const repeated = idempotency === undefined ? undefined : this.#findIdempotency(idempotency.key);
    if (repeated !== undefined) return { kind: "repeated", before: repeated };
    const { id } = commit.row;
    const found = this.#sql.readTask.get(id);
    if (commit.expectedVersion === 0) {
      if (found !== undefined || this.#sql.readTombstone.get(id) !== undefined) return { kind: "taken" };
      if (commit.row.batchId !== null && this.#batches.find(commit.row.batchId)?.closed === true)
        return { kind: "closed" };
    } else if (found?.["version"] !== commit.expectedVersion) {
      return { kind: "conflict" };
    }
    const before = marksOf(found === undefined ? commit.row : toRow(found));
    const { row, milestones } = applyCommit(commit, before, () => this.#clock.draw());
    const text = JSON.stringify(row);
    if (found === undefined) {
      this.#sql.addTask.run(id, row.kind, row.status, row.batchId, row.version, row.dueAtMs, text);
    } else {
      this.#sql.updateTask.run(row.status, row.version, row.dueAtMs, text, id, commit.expectedVersion);
    }
    this.#history.add(row, milestones);
    if (idempotency !== undefined) {
      const { key, fingerprint } = idempotency;
      this.#sql.addIdempotency.run(key, fingerprint, row.cursor, row.status, this.#now());
    }
    return { kind: "committed", row, milestones };
  }

  #transaction<T>(synced: boolean, run: () => T): T {
    return this.#guard(() => {
      if (synced) this.#db.exec("PRAGMA synchronous = FULL");
      this.#db.exec("BEGIN IMMEDIATE");
      try {
        const result = run();
        this.#db.exec("COMMIT");
        return result;
      } catch (error) {
        this.#rollBack();
        throw error;
      } finally {
        if (synced) this.#db.exec("PRAGMA synchronous = NORMAL");
      }
    });
  }

  /** [sqlite lang_transaction §3] A full disk has rolled back by itself; that there is nothing left to roll back must not hide it. */
  #rollBack(): void {
    this.#history.recount();
    try {
      this.#db.exec("ROLLBACK");
    } catch {
      // The error that led here says what is wrong.
    }
  }

  #guard<T>(run: () => T): T {
    try {
      return run();
    } catch (cause) {
      throw toStoreError(cause);
    }
  }

  #findIdempotency(key: string): IdempotencyRecord | undefined {
    const found = this.#sql.readIdempotency.get(key, this.#now() - IDEMPOTENCY_MS);
    if (found === undefined) return undefined;
    return {
      key,
      fingerprint: String(found["fingerprint"]),
      cursor: String(found["cursor"]) as IdempotencyRecord["cursor"],
      status: String(found["status"]) as IdempotencyRecord["status"],
    };
  }
}

function toRow(record: SqlRecord): TaskRow {
  return JSON.parse(String(record["row"])) as TaskRow;
}
