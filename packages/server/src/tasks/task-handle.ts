/**
 * A producer in this very process: what the host's own job holds while it works.
 *
 * `progress` is free to call as often as one likes: it never throws and never waits, and the newest value wins. Everything
 * else is stored when its promise resolves. While the handle lives the task's lease is renewed by itself; when the process
 * dies it lapses, and the task ends as PRODUCER_LOST or goes into its next attempt. Nobody has to clean up.
 */
import type { Json, TaskId } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import { toEventData } from "./event-data.js";
import type { Report } from "./lifecycle.js";
import type { TaskHold, Tasks } from "./tasks.js";

export interface TaskHandle {
  readonly id: TaskId;
  /** Aborted when somebody cancels the task: the job should stop. */
  readonly cancelled: AbortSignal;
  /** Streams open now that carry this task, those of its batch among them. */
  readonly watchers: number;
  /**
   * Calls back with each new number of watchers, 1 for the first and 0 when the last has gone, until the returned function is
   * called or the task has ended. A client that changes its connection, or polls, may pass through 0 for a moment.
   */
  onWatchers(listener: (watchers: number) => void): () => void;
  /** In the task's unit. */
  progress(done: number, total?: number): void;
  /** Begins a stage and ends the one before. Throws INVALID_FIELD for a name that is empty or longer than 128 characters. */
  stage(name: string): Promise<void>;
  /** An event of your own, at most 64 KiB of JSON. Throws INVALID_FIELD for a name of the stream's own, and for what is no JSON. */
  event(type: string, data: Json): Promise<void>;
  /** At most 64 KiB of JSON. Throws INVALID_FIELD. */
  complete(result?: Json): Promise<void>;
  /** `retryable` (default false) opens the next attempt where `maxAttempts` allows one. Texts are cut to 64 and 1,024 characters. */
  fail(error: {
    readonly code: string;
    readonly message: string;
    readonly retryable?: boolean;
  }): Promise<void>;
}

// A dead process is noticed within this; renewed at a third of it, so that one late timer loses nothing.
const LEASE_SECONDS = 30;

// As over HTTP.
const MAX_STAGE_CHARS = 128;
const MAX_CODE_CHARS = 64;
const MAX_MESSAGE_CHARS = 1_024;

/** Takes over reporting for a task. Throws TASK_NOT_FOUND, TASK_EXPIRED. */
export async function openTaskHandle(
  tasks: Tasks,
  id: TaskId,
  onError: (error: unknown, doing: string) => void,
): Promise<TaskHandle> {
  return new Handle(tasks, await tasks.hold(id), onError);
}

class Handle implements TaskHandle {
  readonly id: TaskId;
  readonly #tasks: Tasks;
  readonly #hold: TaskHold;
  readonly #onError: (error: unknown, doing: string) => void;
  readonly #cancelled = new AbortController();
  readonly #renewal: ReturnType<typeof setInterval>;
  readonly #observations = new Set<() => void>();
  #next: { done: number; total: number | undefined } | undefined;
  #pump: Promise<void> | undefined;

  constructor(tasks: Tasks, hold: TaskHold, onError: (error: unknown, doing: string) => void) {
    this.id = hold.row.id;
    this.#tasks = tasks;
    this.#hold = hold;
    this.#onError = onError;
    this.#renewal = setInterval(
      () => {
        if (this.#next === undefined) this.progress(hold.row.done, hold.row.total ?? undefined);
      },
      (LEASE_SECONDS * 1_000) / 3,
    ).unref();
    if (hold.ended.aborted) this.#release();
    else hold.ended.addEventListener("abort", () => this.#release(), { once: true });
  }

  get cancelled(): AbortSignal {
    return this.#cancelled.signal;
  }

  get watchers(): number {
    return this.#tasks.watchers(this.#hold.row);
  }

  onWatchers(listener: (watchers: number) => void): () => void {
    if (this.#hold.ended.aborted) return () => undefined;
    const stop = this.#tasks.onWatchers(this.#hold.row, (watchers) => {
      try {
        listener(watchers);
      } catch (error) {
        // It runs while a stream opens or closes: a mistake of the host's must not break that stream.
        this.#onError(error, `telling the watchers of task ${this.id}`);
      }
    });
    this.#observations.add(stop);
    return () => {
      this.#observations.delete(stop);
      stop();
    };
  }

  progress(done: number, total?: number): void {
    if (this.#hold.ended.aborted) return;
    this.#next = { done, total };
    this.#pump ??= this.#send().finally(() => {
      this.#pump = undefined;
    });
  }

  async stage(name: string): Promise<void> {
    if (name === "" || name.length > MAX_STAGE_CHARS) {
      throw new HoldfastError(
        "INVALID_FIELD",
        `stage must be a text of 1 to ${MAX_STAGE_CHARS} characters: got ${name.length}`,
        { field: "/data/stage" },
      );
    }
    const { stage } = this.#hold.row;
    if (stage !== null) await this.#report({ type: "stage", stage, phase: "end" });
    await this.#report({ type: "stage", stage: name, phase: "begin" });
  }

  async event(type: string, data: Json): Promise<void> {
    await this.#report({ type: "custom", name: type, data: toEventData(data, "/data") });
  }

  async complete(result: Json = null): Promise<void> {
    await this.#report({ type: "complete", result: toEventData(result, "/data/result") });
  }

  async fail(error: {
    readonly code: string;
    readonly message: string;
    readonly retryable?: boolean;
  }): Promise<void> {
    const { code, message, retryable = false } = error;
    // Cut and not refused: whoever fails has an error in hand already, and its task must end.
    await this.#report({
      type: "fail",
      code: code.slice(0, MAX_CODE_CHARS),
      message: message.slice(0, MAX_MESSAGE_CHARS),
      retryable,
    });
  }

  async #report(report: Report): Promise<void> {
    await this.#pump; // what was said first is stored first
    await this.#tasks.command(this.id, {
      type: "report",
      report: { ...report, leaseSeconds: LEASE_SECONDS },
    });
  }

  async #send(): Promise<void> {
    try {
      while (this.#next !== undefined && !this.#hold.ended.aborted) {
        const { done, total } = this.#next;
        this.#next = undefined;
        const moved = { type: "progress", done, leaseSeconds: LEASE_SECONDS } as const;
        const command = {
          type: "report",
          report: total === undefined ? moved : { ...moved, total },
        } as const;
        // oxlint-disable-next-line no-await-in-loop -- the newest value waits for the one before
        if (!(await this.#tasks.progress(this.id, command))) await this.#tasks.command(this.id, command);
      }
    } catch (error) {
      // A task that ended meanwhile needs no progress; anything else is the operator's to know.
      if (!this.#hold.ended.aborted) this.#onError(error, `progress of task ${this.id}`);
    }
  }

  #release(): void {
    clearInterval(this.#renewal);
    for (const stop of this.#observations) stop();
    this.#observations.clear();
    if (this.#hold.row.status === "cancelled") this.#cancelled.abort();
    this.#hold.release();
  }
}
