/**
 * Which tasks have changed since a reader last looked, for streams of many tasks that come as polls.
 *
 * A stream of one task has the task's `rev`. For a thousand tasks a reader can't hand back a thousand numbers; it hands back
 * one token: a count of all changes in this process, and which process. Each task is noted with the count at its last
 * change. A token of another process, or from before what is noted, knows nothing: then everything counts as changed, and the
 * reader gets the snapshots of all tasks. [wire: poll-rev]
 */
import { randomBytes } from "node:crypto";
import type { TaskId } from "@holdfast/protocol";

/** Whether the task has changed since. */
export type ChangedSince = (id: TaskId) => boolean;

// About 100 bytes each. A reader is behind by seconds; ten thousand other tasks do not all move meanwhile.
const MAX_TASKS = 10_000;

export class Revisions {
  readonly #process = randomBytes(6).toString("hex");
  readonly #maxTasks: number;
  /** In order of the last change. */
  readonly #changes = new Map<TaskId, number>();
  #count = 0;
  /** Of changes up to this one it is not known any more which tasks they were of. */
  #forgotten = 0;

  constructor(maxTasks: number = MAX_TASKS) {
    this.#maxTasks = maxTasks;
  }

  /** What a reader who knows everything hands back. */
  get token(): string {
    return `${this.#process}.${this.#count}`;
  }

  changed(id: TaskId): void {
    this.#count += 1;
    this.#changes.delete(id);
    this.#changes.set(id, this.#count);
    if (this.#changes.size <= this.#maxTasks) return;
    for (const [oldest, count] of this.#changes) {
      this.#changes.delete(oldest);
      this.#forgotten = count;
      return;
    }
  }

  /** Undefined: the token says nothing about what its reader knows. */
  since(token: string): ChangedSince | undefined {
    const [process, count] = token.split(".");
    const seen = Number(count);
    if (process !== this.#process || !(seen >= this.#forgotten && seen <= this.#count)) return undefined;
    // Asked later than now: what was forgotten meanwhile may have changed.
    return (id) => seen < this.#forgotten || (this.#changes.get(id) ?? 0) > seen;
  }
}
