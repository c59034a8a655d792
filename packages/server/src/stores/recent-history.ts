/**
 * The newest milestones of tasks that were read lately: ten thousand watchers of one task that come back at once read them once.
 *
 * Promises
 * - What it holds of a task is all that is stored of it above `after`, or nothing at all: its owner tells it of every milestone added, and
 *   of every change it can't follow by dropping the task, or everything when a transaction was rolled back.
 * - At most `maxBytes`; the tasks that were read longest ago go first. One task alone never takes more than an eighth of it.
 * Refuses: to read, and to know what is trimmed by what rule. Called by: `SqliteHistory` alone, which is synchronous: nothing comes between.
 */
import type { TaskId } from "@holdfast/protocol";
import type { Mark, MilestonePage, StoredMilestone } from "./store.js";

interface Recent {
  /** All of the task's milestones above it are here. */
  readonly after: number;
  readonly milestones: readonly StoredMilestone[];
  readonly trimmed: Mark | undefined;
  readonly bytes: number;
}

// Ten thousand milestones of 40 bytes: a storm on hundreds of tasks. Little beside what its connections take.
const MAX_BYTES = 8_388_608;
const TASK_SHARE = 1 / 8;
// Of objects and cursor beside the data, and of an entry without milestones.
const OVERHEAD_BYTES = 400;

export class RecentHistory {
  readonly #maxBytes: number;
  /** In order of the last read. */
  readonly #tasks = new Map<TaskId, Recent>();
  #bytes = 0;

  constructor(maxBytes: number = MAX_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** An estimate, from above for text in Latin letters. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Undefined: not known here. */
  page(id: TaskId, after: number, limit: number): MilestonePage | undefined {
    const recent = this.#tasks.get(id);
    if (recent === undefined || after < recent.after) return undefined;
    this.#tasks.delete(id);
    this.#tasks.set(id, recent);
    const { milestones, trimmed } = recent;
    const first = milestones.findIndex(({ position }) => position > after);
    const found = first === -1 ? [] : milestones.slice(first, first + limit);
    return { milestones: found, done: first === -1 || first + found.length === milestones.length, trimmed };
  }

  /** The task's newest trimmed milestone, where the task is known here at all. */
  trimmed(id: TaskId): { readonly mark: Mark | undefined } | undefined {
    const recent = this.#tasks.get(id);
    return recent === undefined ? undefined : { mark: recent.trimmed };
  }

  /** Takes a page that was read: only one that says that it is the last can stand for all that follows. */
  keep(id: TaskId, after: number, { milestones, done, trimmed }: MilestonePage): void {
    if (!done) return;
    this.#set(id, { after, milestones, trimmed, bytes: OVERHEAD_BYTES + weigh(milestones) });
  }

  /** The task has so many more; they are newer than all it had. */
  append(id: TaskId, added: readonly StoredMilestone[]): void {
    const recent = this.#tasks.get(id);
    if (recent === undefined) return;
    const milestones = [...recent.milestones, ...added];
    this.#set(id, { ...recent, milestones, bytes: recent.bytes + weigh(added) });
  }

  drop(id: TaskId): void {
    this.#bytes -= this.#tasks.get(id)?.bytes ?? 0;
    this.#tasks.delete(id);
  }

  clear(): void {
    this.#tasks.clear();
    this.#bytes = 0;
  }

  #set(id: TaskId, recent: Recent): void {
    this.drop(id);
    if (recent.bytes > this.#maxBytes * TASK_SHARE) return;
    this.#tasks.set(id, recent);
    this.#bytes += recent.bytes;
    for (const oldest of this.#tasks.keys()) {
      if (this.#bytes <= this.#maxBytes) return;
      this.drop(oldest);
    }
  }
}

/** Twice the data: a reader's frame of it is kept beside it. */
function weigh(milestones: readonly StoredMilestone[]): number {
  return milestones.reduce((sum, { data }) => sum + 2 * data.length + OVERHEAD_BYTES, 0);
}
