/**
 * One timer for everything the engine waits for: heartbeats, held-back progress, the age of a stream.
 *
 * A hashed wheel: an entry lies in the slot of its tick; a slot is looked at once a turn and entries of later turns stay.
 * Scheduling and cancelling are O(1), and ten thousand idle streams cost one timer. An entry fires at most one tick late
 * and never early. The timer exists only while something is scheduled, and does not keep the process alive: sockets do.
 */

export interface Clock {
  /** Milliseconds, monotonic; only differences count. */
  now(): number;
  /** Calls back once after at least `delayMs`; returns what stops it. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, callback) {
    const timer: unknown = setTimeout(callback, delayMs);
    // Node's timer has unref, a browser's is a number.
    if (
      typeof timer === "object" &&
      timer !== null &&
      "unref" in timer &&
      typeof timer.unref === "function"
    ) {
      timer.unref();
    }
    return () => clearTimeout(timer as Parameters<typeof clearTimeout>[0]);
  },
};

export interface WheelEntry {
  readonly tick: number;
  readonly run: () => void;
  cancelled: boolean;
}

// 10 ms: well below the 50 ms a heartbeat may be late, and 100 wake-ups a second cost less than 0.1 % of a core.
const TICK_MS = 10;
// A turn of 10.24 s: a 10 s heartbeat is looked at once.
const SLOTS = 1024;

export class TimerWheel {
  readonly #clock: Clock;
  readonly #onError: (error: unknown) => void;
  readonly #slots: Set<WheelEntry>[] = Array.from({ length: SLOTS }, () => new Set());
  readonly #originMs: number;
  #nextTick = 0;
  #size = 0;
  #stop: (() => void) | undefined;

  constructor(clock: Clock, onError: (error: unknown) => void) {
    this.#clock = clock;
    this.#onError = onError;
    this.#originMs = clock.now();
  }

  /** Entries waiting. Back at its start when every stream has gone; tests hold us to it. */
  get size(): number {
    return this.#size;
  }

  /** Runs the callback at `atMs` of the clock or up to one tick later. */
  schedule(atMs: number, run: () => void): WheelEntry {
    if (this.#size === 0) this.#nextTick = this.#tickOf(this.#clock.now());
    const tick = Math.max(this.#nextTick, Math.ceil((atMs - this.#originMs) / TICK_MS));
    const entry: WheelEntry = { tick, run, cancelled: false };
    this.#slot(tick).add(entry);
    this.#size += 1;
    this.#arm();
    return entry;
  }

  cancel(entry: WheelEntry | undefined): void {
    if (entry === undefined || entry.cancelled) return;
    entry.cancelled = true;
    if (this.#slot(entry.tick).delete(entry)) this.#size -= 1;
    if (this.#size === 0) this.#disarm();
  }

  #arm(): void {
    if (this.#stop !== undefined) return;
    const dueMs = this.#originMs + this.#nextTick * TICK_MS;
    this.#stop = this.#clock.after(Math.max(1, dueMs - this.#clock.now()), () => this.#turn());
  }

  #disarm(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #turn(): void {
    this.#stop = undefined;
    const reached = this.#tickOf(this.#clock.now());
    // After a suspended process a whole turn is enough: every slot is looked at once and all that is overdue runs.
    if (reached - this.#nextTick >= SLOTS) this.#nextTick = reached - SLOTS + 1;
    while (this.#nextTick <= reached) {
      const tick = this.#nextTick;
      // Advanced first: what a callback schedules for "now" belongs to the next tick, not to the set being read.
      this.#nextTick += 1;
      for (const entry of this.#slot(tick)) {
        if (entry.tick <= tick || entry.tick <= reached) this.#fire(entry);
      }
    }
    if (this.#size > 0) this.#arm();
  }

  #fire(entry: WheelEntry): void {
    this.#slot(entry.tick).delete(entry);
    this.#size -= 1;
    entry.cancelled = true;
    try {
      entry.run();
    } catch (error) {
      // One broken callback must not stop everybody's heartbeat.
      this.#onError(error);
    }
  }

  #tickOf(nowMs: number): number {
    return Math.floor((nowMs - this.#originMs) / TICK_MS);
  }

  #slot(tick: number): Set<WheelEntry> {
    const slot = this.#slots[tick % SLOTS];
    if (slot === undefined) throw new RangeError(`tick out of range: got ${tick}`);
    return slot;
  }
}
