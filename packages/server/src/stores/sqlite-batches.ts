/**
 * The batches of the embedded store, and how they end.
 *
 * Refuses: transactions; every method runs within one of its caller's. Called by: `SqliteStore` alone.
 */
import type { BatchId } from "@holdfast/protocol";
import type { BatchRow } from "../tasks/task-row.js";
import { endBatch } from "./batch-end.js";
import type { SqliteHistory } from "./sqlite-history.js";
import type { SqlStatements } from "./sqlite-schema.js";
import type { Mark, StoredMilestone } from "./store.js";

export class SqliteBatches {
  readonly #sql: SqlStatements;
  readonly #history: SqliteHistory;

  constructor(sql: SqlStatements, history: SqliteHistory) {
    this.#sql = sql;
    this.#history = history;
  }

  find(id: BatchId): BatchRow | undefined {
    const found = this.#sql.readBatch.get(id);
    // A row of an older server has no `end`.
    return found === undefined ? undefined : ({ end: null, ...JSON.parse(String(found["row"])) } as BatchRow);
  }

  /** Closed, and not ended. */
  unended(): readonly BatchId[] {
    return this.#sql.listUnended.all().map(({ id }) => String(id) as BatchId);
  }

  /** Whether there was none of that id. */
  create(row: BatchRow): boolean {
    return Number(this.#sql.addBatch.run(row.id, JSON.stringify(row)).changes) > 0;
  }

  close(row: BatchRow): void {
    this.#sql.updateBatch.run(JSON.stringify({ ...row, closed: true } satisfies BatchRow), row.id);
  }

  /** The end of a closed batch whose last task has ended; undefined when it has not ended now. */
  endIfDone(id: BatchId, nowMs: number, before: Mark, draw: () => Mark): StoredMilestone | undefined {
    const row = this.find(id);
    if (row?.closed !== true || row.end !== null || this.#sql.hasOpenTask.get(id) !== undefined)
      return undefined;
    const counts = Object.fromEntries(
      this.#sql.countByStatus.all(id).map(({ status, n }) => [String(status), Number(n)]),
    );
    const ended = endBatch(row, counts, { before, mark: draw(), nowMs });
    this.#sql.updateBatch.run(JSON.stringify(ended.row), id);
    this.#history.addBatchEnd(id, ended.milestone);
    return ended.milestone;
  }

  /** Removes batches made before that have no task; true when there may be more. */
  expire(createdBeforeMs: number, limit: number): boolean {
    const idle = this.#sql.listIdleBatches.all(createdBeforeMs, limit);
    for (const record of idle) {
      const id = String(record["id"]) as BatchId;
      this.#history.forgetBatch(id);
      this.#sql.deleteBatch.run(id);
    }
    return idle.length >= limit;
  }
}
