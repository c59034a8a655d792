/**
 * A task held in memory while somebody writes or watches it: its newest row, its speed, and what is not stored yet.
 *
 * Progress moves the row here at once and is stored at leisure; a commit moves it when the store has it. While a commit is
 * under way progress waits in `#waiting`, so that the row committed and the row shown never part.
 */
import { setMaxListeners } from "node:events";
import { isTerminal } from "@holdfast/protocol";
import { Speed } from "./speed.js";
import type { RowProgress, TaskRow } from "./task-row.js";

// Producers that wait for a cancel (16), and writers: beyond this somebody forgets to stop listening, and Node says so.
const MAX_LISTENERS = 32;

export interface Clocks {
  /** Unix milliseconds: what is shown. */
  readonly now: () => number;
  /**
   * Unix milliseconds as they would be had nobody set the clock since the service was opened: what is measured, and what falls due. The
   * time of day may be set forward, and would end what has time left, or back, and would stand still for as long. [wire: steady-deadlines]
   */
  readonly monotonicMs: () => number;
}

export class LiveTask {
  #row: TaskRow;
  readonly #clocks: Clocks;
  readonly #speed: Speed;
  readonly #ended = new AbortController();
  #commits: Promise<unknown> = Promise.resolve();
  #committing = 0;
  #waiting: ((row: TaskRow) => TaskRow) | undefined;
  /** Whether the row holds progress that is not stored. */
  dirty = false;
  /** Writers that need the row to stay in memory. */
  holds = 0;
  #touchedAtMs: number;
  /** The speed last told to watchers: while above 0 a stalled task is told again. */
  toldSpeed = 0;

  readonly #onCaughtUp: (live: LiveTask) => void;

  /** `onCaughtUp`: progress that had waited for a commit has moved the row. */
  constructor(row: TaskRow, clocks: Clocks, onCaughtUp: (live: LiveTask) => void) {
    this.#row = row;
    this.#clocks = clocks;
    this.#onCaughtUp = onCaughtUp;
    this.#touchedAtMs = clocks.monotonicMs();
    this.#speed = new Speed(this.#touchedAtMs);
    setMaxListeners(MAX_LISTENERS, this.#ended.signal);
    if (isTerminal(row.status)) this.#ended.abort();
  }

  get row(): TaskRow {
    return this.#row;
  }

  /** Aborted when the task has ended: whoever works for it stops. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  get idle(): boolean {
    return this.holds === 0 && this.#committing === 0 && !this.dirty;
  }

  /** In units a second. */
  get speed(): number {
    return this.#speed.perSecond(this.#clocks.monotonicMs());
  }

  /** Since the row last moved. */
  get untouchedMs(): number {
    return this.#clocks.monotonicMs() - this.#touchedAtMs;
  }

  /** Applies a change that needs no commit; returns whether the row moved now. `rev` is counted here. */
  move(change: (row: TaskRow) => TaskRow): boolean {
    if (this.#committing > 0) {
      const before = this.#waiting;
      this.#waiting = (row) => change(before === undefined ? row : before(row));
      return false;
    }
    if (isTerminal(this.#row.status)) return false;
    const next = change(this.#row);
    this.#touch(next);
    this.#row = { ...next, rev: this.#row.rev + 1, updatedAtMs: this.#clocks.now() };
    this.dirty = true;
    return true;
  }

  /** Runs one commit at a time; progress that comes meanwhile is applied after it. */
  async exclusively<T>(commit: () => Promise<T>): Promise<T> {
    this.#committing += 1;
    const run = this.#commits.then(commit);
    this.#commits = run.catch(() => undefined); // whoever called hears of the failure; the next in line does not
    try {
      return await run;
    } finally {
      this.#committing -= 1;
      if (this.#committing === 0 && this.#waiting !== undefined) {
        const change = this.#waiting;
        this.#waiting = undefined;
        if (this.move(change)) this.#onCaughtUp(this);
      }
    }
  }

  /** The store has a newer row. */
  replace(row: TaskRow): void {
    if (row.version <= this.#row.version) return;
    this.#touch(row);
    this.#row = row;
    this.dirty = false;
    if (isTerminal(row.status)) this.#ended.abort();
  }

  progress(): RowProgress {
    const {
      id,
      version,
      done,
      total,
      producerPercentage,
      rev,
      updatedAtMs,
      seenAtMs,
      leaseUntilMs,
      dueAtMs,
    } = this.#row;
    return {
      id,
      version,
      done,
      total,
      producerPercentage,
      rev,
      updatedAtMs,
      seenAtMs,
      leaseUntilMs,
      dueAtMs,
    };
  }

  #touch(next: TaskRow): void {
    this.#touchedAtMs = this.#clocks.monotonicMs();
    if (next.done > this.#row.done) this.#speed.add(next.done - this.#row.done, this.#touchedAtMs);
  }
}
