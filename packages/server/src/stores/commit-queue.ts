/**
 * Commits of one turn of the event loop, written together.
 *
 * Promises: in the order in which they came; one that can't be stored takes no other down. Called by: `SqliteStore` alone.
 */
import type { Commit, CommitResult } from "./store.js";

export interface QueuedCommit {
  readonly commit: Commit;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

// About 2 ms of work at most before the event loop turns again.
const MAX_BATCH = 200;

export class CommitQueue {
  readonly #write: (queued: readonly QueuedCommit[]) => void;
  #queue: QueuedCommit[] = [];
  #scheduled = false;

  /** `write`: stores all of them and resolves each, or throws and has stored none. */
  constructor(write: (queued: readonly QueuedCommit[]) => void) {
    this.#write = write;
  }

  async add(commit: Commit): Promise<CommitResult> {
    return await new Promise((resolve, reject) => {
      this.#queue.push({ commit, resolve, reject });
      this.#schedule();
    });
  }

  /** Writes what waits, now. */
  empty(): void {
    while (this.#queue.length > 0) this.#flush();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const batch = this.#queue.slice(0, MAX_BATCH);
    this.#queue = this.#queue.slice(MAX_BATCH);
    try {
      this.#write(batch);
    } catch (error) {
      // One that can't be stored must not take those down that came at the same moment.
      if (batch.length === 1) batch[0]?.reject(error);
      else for (const queued of batch) this.#writeAlone(queued);
    }
  }

  #writeAlone(queued: QueuedCommit): void {
    try {
      this.#write([queued]);
    } catch (error) {
      queued.reject(error);
    }
  }
}
