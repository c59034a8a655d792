/**
 * What happens when nothing happens: uploads expire, producers are found lost, old history and ended tasks are removed.
 *
 * The store knows each task's next deadline, so a restart forgets none; a look a second finds those that are due. A row in
 * memory may have been seen since: its own deadline decides. Who could not report while the server itself was away gets time to.
 */
import { setImmediate } from "node:timers/promises";
import { isTerminal } from "@holdfast/protocol";
import type { Store } from "../stores/store.js";
import { isReceiving } from "./lifecycle.js";
import type { TaskRow } from "./task-row.js";
import type { Tasks } from "./tasks.js";

export interface DeadlinesOptions {
  readonly store: Store;
  readonly tasks: Tasks;
  /** Ends a task whose deadline has passed. */
  readonly lapse: (row: TaskRow) => Promise<unknown>;
  /** Removes the bytes of a task that is about to be removed. */
  readonly removeContent: (row: TaskRow) => Promise<void>;
  /** What else is to be looked at each second. */
  readonly alsoLook: () => Promise<void>;
  /** Batches without tasks are forgotten this long after they were made. */
  readonly retentionMs: number;
  /** Milestones older than this are let go of, endings excepted. */
  readonly historyMs: number;
  /** Unix milliseconds, by which milestones and batches are dated. */
  readonly now: () => number;
  /** The clock of deadlines: `Clocks.monotonicMs`. */
  readonly monotonicMs: () => number;
  readonly onError: (error: unknown, doing: string) => void;
}

const LOOK_EVERY_MS = 1_000;
// A producer whose report failed meanwhile tries again; nobody who still lives waits longer between two tries.
const ABSENCE_GRACE_MS = 30_000;
// A look must not hold the others up: what is left is due a second later as well.
const AT_ONCE = 200;
// A page of old milestones takes about 2 ms; between two of them requests have their turn. 100 pages a second are more than a
// store takes in.
const TRIM_PAGE = 500;
const TRIM_PAGES = 100;
const BATCHES_EVERY_MS = 3_600_000;

export class Deadlines {
  readonly #options: DeadlinesOptions;
  readonly #startedAtMs: number;
  #timer: ReturnType<typeof setInterval> | undefined;
  #looking: Promise<void> | undefined;
  #batchesAtMs = 0;

  constructor(options: DeadlinesOptions) {
    this.#options = options;
    this.#startedAtMs = options.monotonicMs();
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await this.#looking;
  }

  /** One look; resolves when what was due has been dealt with. Never rejects. */
  async look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error: unknown) => this.#options.onError(error, "looking for deadlines"))
      .finally(() => {
        this.#looking = undefined;
      });
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { store, tasks, alsoLook, monotonicMs, onError } = this.#options;
    await alsoLook().catch((error: unknown) => onError(error, "completing uploads that are whole"));
    for (const stored of await store.listDue(monotonicMs(), AT_ONCE)) {
      const row = tasks.peek(stored.id) ?? stored;
      if (row.dueAtMs === null || row.dueAtMs > monotonicMs() || this.#mayYetReport(row)) continue;
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other leaves room for requests
        await this.#lapse(row);
      } catch (error) {
        onError(error, `ending task ${row.id} at its deadline`);
      }
    }
    await this.#trim();
    if (monotonicMs() >= this.#batchesAtMs) await this.#expireBatches();
  }

  /** [wire: absence] */
  #mayYetReport(row: TaskRow): boolean {
    if (isTerminal(row.status) || isReceiving(row)) return false;
    if ((row.seenAtMs ?? row.createdAtMs) >= this.#startedAtMs) return false;
    return this.#options.monotonicMs() - this.#startedAtMs < ABSENCE_GRACE_MS;
  }

  async #expireBatches(): Promise<void> {
    const { store, retentionMs, monotonicMs } = this.#options;
    // When there are more, the next look goes on.
    if (!(await store.expireBatches(this.#leastMs() - retentionMs, AT_ONCE)))
      this.#batchesAtMs = monotonicMs() + BATCHES_EVERY_MS;
  }

  /** Dates are of the time of day: whichever way it was set, nothing goes too early. */
  #leastMs(): number {
    return Math.min(this.#options.now(), this.#options.monotonicMs());
  }

  async #trim(): Promise<void> {
    const { store, historyMs } = this.#options;
    for (let page = 0; page < TRIM_PAGES; page += 1) {
      // oxlint-disable-next-line no-await-in-loop -- likewise
      if (!(await store.trimMilestones(this.#leastMs() - historyMs, TRIM_PAGE))) return;
      // oxlint-disable-next-line no-await-in-loop -- likewise
      await setImmediate();
    }
  }

  async #lapse(row: TaskRow): Promise<void> {
    const { tasks, lapse, removeContent } = this.#options;
    if (isTerminal(row.status)) {
      await removeContent(row);
      await tasks.expire(row.id);
      return;
    }
    await lapse(row);
  }
}
