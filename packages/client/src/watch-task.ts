/**
 * One task, watched to its end. `ending` resolves with how it ended whatever happens between: also when the connection breaks on
 * the last event, and when the server answers 204 because it believes that the ending was heard; then the stream is begun anew.
 */
import {
  parseTaskId,
  type CancelledData,
  type CompleteData,
  type FailedData,
  type Task,
  type TaskId,
} from "@holdfast/protocol";
import { HoldfastClientError } from "./client-error.js";
import { WatchCore } from "./watch-core.js";
import type { WatchEvent } from "./watch-event.js";
import type { ConnectionInfo, WatchOptions } from "./watch-options.js";

/** How a task ended; `task` is as the ending left it. */
export type Ending =
  | { readonly type: "complete"; readonly task: Task; readonly data: CompleteData }
  | { readonly type: "failed"; readonly task: Task; readonly data: FailedData }
  | { readonly type: "cancelled"; readonly task: Task; readonly data: CancelledData };

/** Iterating gives the task as known so far, then every event; it ends after the ending, throws when the watch fails. */
export interface TaskWatch extends AsyncIterable<WatchEvent> {
  readonly taskId: TaskId;
  /** Newest view; null until the first snapshot. A new object whenever it changed. */
  readonly task: Task | null;
  readonly connection: ConnectionInfo;
  /** Rejects with HoldfastClientError: HTTP_STATUS (404, 410, 401, …), RETRIES_EXHAUSTED, CLOSED, ABORTED. */
  readonly ending: Promise<Ending>;
  /** Called after every event and every change of the connection. Returns what stops it. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

/** Throws HoldfastClientError UNKNOWN_OPTION or INVALID_OPTION; everything later rejects `ending`. */
export function watchTask(taskId: string, options: WatchOptions = {}): TaskWatch {
  return new Watch(taskId, options);
}

class Watch implements TaskWatch {
  readonly taskId: TaskId;
  readonly ending: Promise<Ending>;
  readonly #core: WatchCore;
  #resolve: (ending: Ending) => void = () => undefined;
  #reject: (error: HoldfastClientError) => void = () => undefined;

  constructor(taskId: string, options: WatchOptions) {
    const id = parseTaskId(taskId);
    if (id === undefined) throw new HoldfastClientError("INVALID_OPTION", `"${taskId}" is no task id`);
    this.taskId = id;
    this.ending = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who iterates or subscribes need not await the ending; unawaited, a rejection must not end a Node process.
    this.ending.catch(() => undefined);
    this.#core = new WatchCore(
      { path: `/tasks/${id}/stream` },
      options,
      {
        onEvent: (event) => this.#hear(event),
        onFailed: (error) => this.#reject(error),
      },
      "watchTask",
    );
  }

  get task(): Task | null {
    return this.#core.task(this.taskId);
  }
  get connection(): ConnectionInfo {
    return this.#core.connection;
  }
  subscribe(listener: () => void): () => void {
    return this.#core.subscribe(listener);
  }
  close(): void {
    this.#core.close();
  }
  [Symbol.asyncIterator](): AsyncIterator<WatchEvent, undefined> {
    return this.#core.iterate();
  }

  #hear(event: WatchEvent): void {
    if (event.type !== "complete" && event.type !== "failed" && event.type !== "cancelled") return;
    const { task } = this;
    // No snapshot before the ending: a stream begun anew has one.
    if (task === null) return this.#core.reopen();
    this.#resolve({ type: event.type, task, data: event.data } as Ending);
    this.#core.finish();
  }
}
