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
  /** Unix milliseconds. */
  readonly now: () => number;
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
    this.#startedAtMs = options.now();
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
    const { store, tasks, alsoLook, now, onError } = this.#options;
    await alsoLook().catch((error: unknown) => onError(error, "completing uploads that are whole"));
    for (const stored of await store.listDue(now(), AT_ONCE)) {
      const row = tasks.peek(stored.id) ?? stored;
      if (row.dueAtMs === null || row.dueAtMs > now() || this.#mayYetReport(row)) continue;
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other leaves room for requests
        await this.#lapse(row);
      } catch (error) {
        onError(error, `ending task ${row.id} at its deadline`);
      }
    }
    await this.#trim();
    if (now() >= this.#batchesAtMs) await this.#expireBatches();
  }

  /** [wire: absence] */
  #mayYetReport(row: TaskRow): boolean {
    if (isTerminal(row.status) || isReceiving(row)) return false;
    if ((row.seenAtMs ?? row.createdAtMs) >= this.#startedAtMs) return false;
    const sinceStartMs = this.#options.now() - this.#startedAtMs;
    // Below 0 the clock was stepped back, and tells nothing about what is due.
    return sinceStartMs >= 0 && sinceStartMs < ABSENCE_GRACE_MS;
  }

  async #expireBatches(): Promise<void> {
    const { store, retentionMs, now } = this.#options;
    // When there are more, the next look goes on.
    if (!(await store.expireBatches(now() - retentionMs, AT_ONCE)))
      this.#batchesAtMs = now() + BATCHES_EVERY_MS;
  }

  async #trim(): Promise<void> {
    const { store, historyMs, now } = this.#options;
    for (let page = 0; page < TRIM_PAGES; page += 1) {
      // oxlint-disable-next-line no-await-in-loop -- likewise
      if (!(await store.trimMilestones(now() - historyMs, TRIM_PAGE))) return;
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
