/**
 * Producers that wait to be told to stop: the long-poll of `/tasks/{id}/control`.
 *
 * Promises
 * - Answered in the very turn in which the task ends, `waitMs` passes, the number of watchers differs from the one asked about,
 *   the client goes, or the server drains; whatever comes first.
 * - Nothing is left behind: each wait lets go of its timer, its listeners and its hold on the task in one place.
 * - Bounded: per task and in all; beyond that TOO_MANY_REQUESTS.
 * Refuses: to count as a sign of life. [wire: control]
 * Called by: http/control-routes.ts.
 */
import { isTerminal, type TaskId, type TaskStatus } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "./task-row.js";
import type { TaskHold, Tasks } from "./tasks.js";

export interface ControlQuestion {
  /** 0 answers at once. */
  readonly waitMs: number;
  /** The number the producer knows; answered at once when it is another. Undefined: watchers end no wait. */
  readonly watchers?: number | undefined;
  /** Aborted when the client has gone. */
  readonly gone: AbortSignal;
}

export interface ControlAnswer {
  readonly status: TaskStatus;
  readonly attempt: number;
  /** The producer should stop: the task was cancelled. */
  readonly cancelRequested: boolean;
  readonly reason: string | null;
  /** Streams open at this moment that carry the task. */
  readonly watchers: number;
}

// A producer has one; the rest is room for those whose connection died without a word. Each holds one socket and one timer.
const MAX_PER_TASK = 16;
const MAX_IN_ALL = 10_000;

export class Controls {
  readonly #tasks: Tasks;
  readonly #waiting = new Map<TaskId, Set<() => void>>();
  #size = 0;
  #draining = false;

  constructor(tasks: Tasks) {
    this.#tasks = tasks;
  }

  /** Waits under way. */
  get size(): number {
    return this.#size;
  }

  /** Throws TASK_NOT_FOUND, TASK_EXPIRED, TOO_MANY_REQUESTS, and DRAINING for what would have to wait. */
  async ask(id: TaskId, question: ControlQuestion): Promise<ControlAnswer> {
    const hold = await this.#tasks.hold(id);
    try {
      if (!this.#answersNow(hold.row, question)) await this.#wait(hold, question);
      const { row } = hold;
      const { status, attempt, cancelRequested, reason } = row;
      return { status, attempt, cancelRequested, reason, watchers: this.#tasks.watchers(row) };
    } finally {
      hold.release();
    }
  }

  /** Answers everybody who waits; who asks from now on is sent away. */
  drain(): void {
    this.#draining = true;
    for (const waits of this.#waiting.values()) for (const finish of waits) finish();
  }

  #answersNow(row: TaskRow, { waitMs, watchers, gone }: ControlQuestion): boolean {
    return (
      waitMs === 0 ||
      gone.aborted ||
      isTerminal(row.status) ||
      (watchers !== undefined && watchers !== this.#tasks.watchers(row))
    );
  }

  async #wait({ row, ended }: TaskHold, { waitMs, watchers, gone }: ControlQuestion): Promise<void> {
    if (this.#draining) {
      throw new HoldfastError("DRAINING", "the server is going away; ask again in a moment", {
        retryAfterSeconds: 1,
      });
    }
    const waits = this.#waiting.get(row.id) ?? new Set();
    if (waits.size >= MAX_PER_TASK || this.#size >= MAX_IN_ALL) {
      throw new HoldfastError(
        "TOO_MANY_REQUESTS",
        `too many requests wait for a cancel: at most ${MAX_PER_TASK} a task and ${MAX_IN_ALL} in all; ask again when one of them is answered`,
        { retryAfterSeconds: 5 },
      );
    }
    this.#waiting.set(row.id, waits);
    await new Promise<void>((resolve) => {
      const finish = (): void => {
        if (!waits.delete(finish)) return;
        if (waits.size === 0) this.#waiting.delete(row.id);
        this.#size -= 1;
        clearTimeout(timer);
        stopObserving?.();
        ended.removeEventListener("abort", finish);
        gone.removeEventListener("abort", finish);
        resolve();
      };
      waits.add(finish);
      this.#size += 1;
      const timer = setTimeout(finish, waitMs);
      ended.addEventListener("abort", finish);
      gone.addEventListener("abort", finish);
      const stopObserving =
        watchers === undefined
          ? undefined
          : this.#tasks.onWatchers(row, (count) => {
              if (count !== watchers) finish();
            });
    });
  }
}
