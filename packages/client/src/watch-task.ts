/**
 * One task, watched to its end. `ending` resolves with how it ended whatever happens between: also when the connection breaks on
 * the last event, and when the server answers 204 because it believes that the ending was heard; then the task is read.
 */
import {
  isTerminal,
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

type EndingEvent = Extract<WatchEvent, { type: "complete" | "failed" | "cancelled" }>;

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
  #readings = 0;

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
        onDone: () => void this.#read(),
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
    // No snapshot before the ending: no server of ours, but the task can be read.
    if (this.task === null) void this.#read();
    else this.#end(event, this.task);
  }

  #end(event: EndingEvent, task: Task): void {
    this.#resolve({ type: event.type, task, data: event.data } as Ending);
    this.#core.finish();
  }

  async #read(): Promise<void> {
    const core = this.#core;
    const task = await core.readUntilKnown(() => core.api.task(this.taskId, { signal: core.signal }));
    if (task === undefined) return;
    core.take({ type: "snapshot", data: { task }, lastEventId: task.cursor }, 0);
    const ending = endingOf(task);
    if (ending !== undefined) {
      core.take(ending, 0);
      return;
    }
    // 204 for a task that goes on: the server mistook our cursor. Not at once, else two that disagree make a hot loop.
    await core.pause(++this.#readings);
    core.reopen();
  }
}

/** The ending event as the stream would have brought it; undefined while the task goes on. */
function endingOf(task: Task): EndingEvent | undefined {
  const { id: taskId, cursor: lastEventId, status } = task;
  const timestamp = task.endedAt ?? task.updatedAt;
  if (!isTerminal(status)) return undefined;
  switch (status) {
    case "completed":
      return { type: "complete", data: { taskId, timestamp, result: task.result }, lastEventId };
    case "failed": {
      const error = task.error ?? { code: "UNKNOWN", message: "the task failed", retryable: false };
      return { type: "failed", data: { taskId, timestamp, error }, lastEventId };
    }
    case "cancelled":
      break;
  }
  return { type: "cancelled", data: { taskId, timestamp, reason: task.reason }, lastEventId };
}
