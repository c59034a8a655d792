/**
 * One writer per upload. [wire: one-writer]
 *
 * Whoever comes next asks the holder to stop and gets the lock when it has: the older connection may be half open, and a
 * client that resumes must not wait for a time-out of TCP. Not so a one-shot: nobody could go on with what it loses, so others
 * are refused at once and the silence of its body is what ends a dead one.
 * In memory: the data directory belongs to one process.
 */
import { HoldfastError } from "../errors.js";

export interface UploadLock {
  /** Aborted when somebody else wants the upload. */
  readonly wanted: AbortSignal;
  release(): void;
}

export interface LockOptions {
  /** Stops for whoever comes next. True unless said. */
  readonly yields?: boolean;
  /** Waits also for a holder that does not yield, because something else has told it to stop. */
  readonly waits?: boolean;
}

interface Holder {
  readonly yields: boolean;
  readonly wanted: AbortController;
  readonly released: Promise<void>;
}

// A writer stops within one write of the disk; this is for a disk that hangs.
const WAIT_MS = 10_000;

export class UploadLocks {
  readonly #holders = new Map<string, Holder>();
  readonly #waitMs: number;

  constructor(waitMs: number = WAIT_MS) {
    this.#waitMs = waitMs;
  }

  /** Uploads being written. */
  get size(): number {
    return this.#holders.size;
  }

  /** Throws UPLOAD_LOCKED when the holder does not yield, or does not stop in time. */
  async acquire(id: string, { yields = true, waits = false }: LockOptions = {}): Promise<UploadLock> {
    if (!this.#holders.has(id)) return this.#hold(id, yields);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#waitMs);
    const waited = aborted(late.signal);
    try {
      for (;;) {
        const holder = this.#holders.get(id);
        if (holder === undefined) return this.#hold(id, yields);
        if (late.signal.aborted || !(holder.yields || waits)) throw toLockedError(id);
        holder.wanted.abort();
        // oxlint-disable-next-line no-await-in-loop -- whoever was faster is asked in turn
        await Promise.race([holder.released, waited]);
      }
    } finally {
      clearTimeout(timer);
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

  #hold(id: string, yields: boolean): UploadLock {
    const wanted = new AbortController();
    const released = new AbortController();
    const holder = { yields, wanted, released: aborted(released.signal) };
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

function toLockedError(id: string): HoldfastError {
  return new HoldfastError(
    "UPLOAD_LOCKED",
    `upload ${id} is still being written by another request; try again`,
    { retryAfterSeconds: 1 },
  );
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
