/**
 * One writer per upload. [wire: one-writer]
 *
 * Whoever comes next asks the holder to stop and gets the lock when it has: the older connection may be half open, and a
 * client that resumes must not wait for a time-out of TCP. Those who wait are served in order, the first asking for all.
 * In memory: the data directory belongs to one process.
 */
import { HoldfastError } from "../errors.js";

export interface UploadLock {
  /** Aborted when somebody else wants the upload. */
  readonly wanted: AbortSignal;
  release(): void;
}

interface Holder {
  readonly wanted: AbortController;
  readonly released: Promise<void>;
}

// A writer stops within one write of the disk; this is for a disk that hangs.
const WAIT_MS = 10_000;

export class UploadLocks {
  readonly #holders = new Map<string, Holder>();

  /** Uploads being written. */
  get size(): number {
    return this.#holders.size;
  }

  /** Throws UPLOAD_LOCKED when the holder does not stop in time, or the signal aborts. */
  async acquire(id: string, signal?: AbortSignal): Promise<UploadLock> {
    const deadline = AbortSignal.timeout(WAIT_MS);
    const given = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    for (;;) {
      const holder = this.#holders.get(id);
      if (holder === undefined) return this.#hold(id);
      holder.wanted.abort();
      // oxlint-disable-next-line no-await-in-loop -- whoever was faster is asked in turn
      await Promise.race([holder.released, aborted(given)]);
      if (given.aborted) {
        throw new HoldfastError(
          "UPLOAD_LOCKED",
          `upload ${id} is still being written by another request; try again`,
          {
            retryAfterSeconds: 1,
          },
        );
      }
    }
  }

  /** Asks every writer to stop; resolves when all have. */
  async stopAll(): Promise<void> {
    const holders = [...this.#holders.values()];
    for (const { wanted } of holders) wanted.abort();
    await Promise.all(holders.map(({ released }) => released));
  }

  /** Resolves when nobody writes. */
  async idle(): Promise<void> {
    await Promise.all([...this.#holders.values()].map(({ released }) => released));
  }

  #hold(id: string): UploadLock {
    const wanted = new AbortController();
    const released = new AbortController();
    const holder = { wanted, released: aborted(released.signal) };
    this.#holders.set(id, holder);
    return {
      wanted: wanted.signal,
      release: () => {
        if (this.#holders.get(id) === holder) this.#holders.delete(id);
        released.abort();
      },
    };
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
