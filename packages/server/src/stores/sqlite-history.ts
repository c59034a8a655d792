/**
 * The milestones of the embedded store: added, read in pages, and let go of.
 *
 * Promises
 * - At most `perTask` milestones of a task are held, the newest; its ending is not counted and never let go of before the task.
 * - What was let go of is remembered as one position a task (and one a batch for tasks that are gone), so that a page of history
 *   can say in the same breath what it lacks.
 * - What one watcher of a task has just read is not read again for the next.
 * - Letting go costs a few look-ups a commit: the oldest are first in their index, and how many a task holds is counted here.
 * Refuses: transactions; every method runs within one of its caller's. Called by: `SqliteStore` alone.
 */
import { parseCursor, type BatchId, type TaskId } from "@holdfast/protocol";
import type { TaskRow } from "../tasks/task-row.js";
import { batchOwner } from "./batch-end.js";
import type { CursorClock } from "./cursor-clock.js";
import { RecentHistory } from "./recent-history.js";
import type { SqlRecord } from "./sqlite-driver.js";
import type { SqlStatements } from "./sqlite-schema.js";
import type { Mark, MilestonePage, MilestoneQuery, StoredMilestone } from "./store.js";

interface Place {
  readonly seq: number;
  readonly ms: number;
}

export class SqliteHistory {
  readonly #sql: SqlStatements;
  readonly #clock: CursorClock;
  readonly #perTask: number;
  /** Milestones held of tasks that have had one since the start, endings not counted. */
  readonly #held = new Map<TaskId, number>();
  readonly #recent = new RecentHistory();
  /** All up to here that is old has been let go of, endings excepted: the next look begins behind them. */
  #trimmedTo = 0;

  constructor(sql: SqlStatements, clock: CursorClock, perTask: number) {
    this.#sql = sql;
    this.#clock = clock;
    this.#perTask = perTask;
  }

  add(row: TaskRow, milestones: readonly StoredMilestone[]): void {
    const { id, batchId } = row;
    let ended = false;
    let open = 0;
    for (const { position, cursor, event, data, ending } of milestones) {
      this.#sql.addMilestone.run(position, toMs(cursor), id, batchId, event, data, ending ? 1 : 0);
      ended ||= ending;
      open += ending ? 0 : 1;
    }
    this.#recent.append(id, milestones);
    if (open > 0) this.#bound(id, batchId, open);
    if (ended) this.#held.delete(id); // nothing follows
  }

  /** Within the transaction that ends the batch. */
  addBatchEnd(id: BatchId, { position, cursor, event, data }: StoredMilestone): void {
    this.#sql.addMilestone.run(position, toMs(cursor), batchOwner(id), id, event, data, 1);
  }

  read(query: MilestoneQuery): MilestonePage {
    const { of, after, endingsOnlyUpTo, limit } = query;
    const id = toOnly(of);
    // Where only endings are asked for, what is recent is not what is asked for.
    if (id === undefined || endingsOnlyUpTo > after) return this.#read(query);
    const recent = this.#recent.page(id, after, limit);
    if (recent !== undefined) return recent;
    const page = this.#read(query);
    this.#recent.keep(id, after, page);
    return page;
  }

  trimmed(of: MilestoneQuery["of"]): Mark | undefined {
    const id = toOnly(of);
    const recent = id === undefined ? undefined : this.#recent.trimmed(id);
    return recent === undefined ? this.#readTrimmed(of) : recent.mark;
  }

  /** Whether there is something to let go of: one look-up, so that it can be asked every second. */
  hasOlder(beforeMs: number): boolean {
    const [first] = this.#sql.scanMilestones.all(this.#trimmedTo, 1);
    return first !== undefined && this.#isOld(first, beforeMs);
  }

  /** Returns whether there may be more to let go of. */
  trim(beforeMs: number, limit: number): boolean {
    const page = this.#sql.scanMilestones.all(this.#trimmedTo, limit);
    // Positions and times grow together, so the first that is young ends the look.
    const young = page.findIndex((record) => !this.#isOld(record, beforeMs));
    const old = young === -1 ? page : page.slice(0, young);
    const last = old.at(-1);
    if (last === undefined) return false;
    const newestOf = new Map<TaskId, SqlRecord>();
    for (const record of old) {
      if (record["ending"] !== 1) newestOf.set(String(record["task_id"]) as TaskId, record);
    }
    const { seq } = toPlace(last);
    this.#sql.deleteSpan.run(this.#trimmedTo, seq);
    for (const [id, record] of newestOf) {
      const batchId = typeof record["batch_id"] === "string" ? (record["batch_id"] as BatchId) : null;
      this.#letGo(id, batchId, toPlace(record));
      this.#held.delete(id); // counted again when it is next needed
      this.#recent.drop(id);
    }
    this.#trimmedTo = seq;
    return old.length === limit;
  }

  /** Times grow with positions: one that lies otherwise was given out by another life of this store, before a backup was put back. */
  couldBeOf(cursor: string, position: number): boolean {
    const ms = parseCursor(cursor)?.ms ?? 0;
    const { below, above } = this.#sql.timesAround.get(position) ?? {};
    return Number(below ?? ms) <= ms && ms <= Number(above ?? ms);
  }

  /** Removes all of a task. Of one in a batch its last position is kept, for streams of the batch. */
  forget(id: TaskId, batchId: BatchId | null): void {
    this.#sql.deleteTrimmed.run(id);
    this.#held.delete(id);
    this.#recent.drop(id);
    this.#remove(id, batchId);
  }

  /** Removes the end of a batch; its position is kept. */
  forgetBatch(id: BatchId): void {
    this.#remove(batchOwner(id), id);
  }

  /** A transaction was rolled back: what was counted and added in it did not happen. */
  recount(): void {
    this.#held.clear();
    this.#recent.clear();
    this.#trimmedTo = 0;
  }

  /** The newest of all is never old: it is where the clock goes on after a crash. */
  #isOld(record: SqlRecord, beforeMs: number): boolean {
    const { seq, ms } = toPlace(record);
    return ms < beforeMs && seq < this.#clock.newest.position;
  }

  #bound(id: TaskId, batchId: BatchId | null, added: number): void {
    const before = this.#held.get(id);
    const held = before === undefined ? Number(this.#sql.countMilestones.get(id)?.["n"]) : before + added;
    const excess = held - this.#perTask;
    this.#held.set(id, Math.min(held, this.#perTask));
    if (excess <= 0) return;
    const last = this.#sql.nthMilestone.get(id, excess - 1);
    if (last === undefined) return;
    const place = toPlace(last);
    this.#sql.deleteOldest.run(id, place.seq);
    this.#letGo(id, batchId, place);
    this.#recent.drop(id);
  }

  #read({ of, after, endingsOnlyUpTo, limit }: MilestoneQuery): MilestonePage {
    // One more than asked for tells whether there are more.
    const found =
      "batchId" in of
        ? this.#sql.readBatchMilestones.all(of.batchId, after, endingsOnlyUpTo, limit + 1)
        : this.#sql.readTaskMilestones.all(JSON.stringify(of.taskIds), after, endingsOnlyUpTo, limit + 1);
    const milestones = found.slice(0, limit).map((record) => this.#toMilestone(record));
    return { milestones, done: found.length <= limit, trimmed: this.#readTrimmed(of) };
  }

  #readTrimmed(of: MilestoneQuery["of"]): Mark | undefined {
    const found =
      "batchId" in of
        ? this.#sql.readBatchTrimmed.get(of.batchId)
        : this.#sql.readTaskTrimmed.get(JSON.stringify(of.taskIds));
    if (found === undefined) return undefined;
    const { seq, ms } = toPlace(found);
    return { position: seq, cursor: this.#clock.at(seq, ms) };
  }

  #remove(owner: string, batchId: BatchId | null): void {
    const last = this.#sql.lastOfTask.get(owner);
    // A batch needs one line for all of it that is gone.
    if (batchId !== null && last !== undefined) this.#letGo(batchOwner(batchId), batchId, toPlace(last));
    this.#sql.deleteMilestones.run(owner);
  }

  #letGo(owner: string, batchId: BatchId | null, { seq, ms }: Place): void {
    this.#sql.addTrimmed.run(owner, batchId, seq, ms);
  }

  #toMilestone(record: SqlRecord): StoredMilestone {
    const { seq, ms } = toPlace(record);
    const owner = String(record["task_id"]);
    return {
      taskId: owner.startsWith(":") ? null : (owner as TaskId),
      position: seq,
      cursor: this.#clock.at(seq, ms),
      event: String(record["event"]),
      data: String(record["data"]),
      ending: record["ending"] === 1,
    };
  }
}

/** The one task that is asked for; undefined when there are several. */
function toOnly(of: MilestoneQuery["of"]): TaskId | undefined {
  return "taskIds" in of && of.taskIds.length === 1 ? of.taskIds[0] : undefined;
}

function toPlace(record: SqlRecord): Place {
  return { seq: Number(record["seq"]), ms: Number(record["ms"]) };
}

/** The time in a cursor of ours. */
export function toMs(cursor: string): number {
  return Number(cursor.split("-")[1]);
}
