/**
 * The milestones of the store in memory, by task: added, read in pages, and let go of by the same rules as in the embedded store.
 */
import type { BatchId } from "@holdfast/protocol";
import type { Mark, MilestonePage, MilestoneQuery, StoredMilestone } from "./store.js";

interface TaskHistory {
  readonly batchId: BatchId | null;
  /** In order. An ending is the last: nothing follows it. */
  held: StoredMilestone[];
  trimmed: Mark | undefined;
}

export class MemoryHistory {
  readonly #perTask: number;
  /** By task; the end of a batch has an owner of its own. */
  readonly #tasks = new Map<string, TaskHistory>();
  readonly #batches = new Map<BatchId, Set<TaskHistory>>();
  /** Of tasks that are gone. */
  readonly #gone = new Map<BatchId, Mark>();

  constructor(perTask: number) {
    this.#perTask = perTask;
  }

  add(id: string, batchId: BatchId | null, milestones: readonly StoredMilestone[]): void {
    const history = this.#tasks.get(id) ?? this.#create(id, batchId);
    history.held.push(...milestones);
    const endings = history.held.at(-1)?.ending === true ? 1 : 0;
    letGo(history, history.held.length - endings - this.#perTask);
  }

  read({ of, after, endingsOnlyUpTo, limit }: MilestoneQuery): MilestonePage {
    const found = this.#of(of)
      .flatMap(({ held }) => held)
      .filter((event) => event.position > after && (event.position > endingsOnlyUpTo || event.ending))
      .toSorted((a, b) => a.position - b.position);
    return {
      milestones: found.slice(0, limit),
      done: found.length <= limit,
      trimmed: this.trimmed(of),
    };
  }

  couldBeOf(cursor: string, position: number): boolean {
    const held = [...this.#tasks.values()].flatMap((history) => history.held);
    return held.every((event) => event.position !== position || event.cursor === cursor);
  }

  trimmed(of: MilestoneQuery["of"]): Mark | undefined {
    const marks = this.#of(of).map(({ trimmed }) => trimmed);
    if ("batchId" in of) marks.push(this.#gone.get(of.batchId));
    return marks.reduce(later, undefined);
  }

  /** Looks at every task: `limit` bounds what is let go of at a time. The newest milestone of all is kept. */
  trim(beforeMs: number, limit: number, newest: number): boolean {
    let left = limit;
    for (const history of this.#tasks.values()) {
      const kept = history.held.findIndex(
        ({ ending, position, cursor }) =>
          ending || position >= newest || Number(cursor.split("-")[1]) >= beforeMs,
      );
      const old = kept === -1 ? history.held.length : kept;
      letGo(history, Math.min(old, left));
      left -= Math.min(old, left);
      if (left === 0) return true;
    }
    return false;
  }

  forget(id: string): void {
    const history = this.#tasks.get(id);
    if (history === undefined) return;
    this.#tasks.delete(id);
    const { batchId } = history;
    if (batchId === null) return;
    this.#batches.get(batchId)?.delete(history);
    const last = later(this.#gone.get(batchId), history.held.at(-1) ?? history.trimmed);
    if (last !== undefined) this.#gone.set(batchId, toMark(last));
  }

  #create(id: string, batchId: BatchId | null): TaskHistory {
    const history: TaskHistory = { batchId, held: [], trimmed: undefined };
    this.#tasks.set(id, history);
    if (batchId !== null) {
      const batch = this.#batches.get(batchId) ?? new Set();
      this.#batches.set(batchId, batch.add(history));
    }
    return history;
  }

  #of(of: MilestoneQuery["of"]): TaskHistory[] {
    if ("batchId" in of) return [...(this.#batches.get(of.batchId) ?? [])];
    return [...new Set(of.taskIds)].flatMap((id) => this.#tasks.get(id) ?? []);
  }
}

function letGo(history: TaskHistory, count: number): void {
  const last = history.held[count - 1];
  if (last === undefined) return;
  history.trimmed = toMark(last);
  history.held = history.held.slice(count);
}

function toMark({ cursor, position }: Mark): Mark {
  return { cursor, position };
}

function later(a: Mark | undefined, b: Mark | undefined): Mark | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.position > b.position ? a : b;
}
