/**
 * Many tasks on one connection: the tasks of a batch, also those added later, or a list of ids. Browsers open six HTTP/1.1
 * connections per host, so a page with several tasks wants one of these and not several watchTask.
 */
import {
  parseBatchId,
  parseTaskId,
  type BatchData,
  type BatchId,
  type Task,
  type TaskId,
} from "@holdfast/protocol";
import { HoldfastClientError } from "./client-error.js";
import { WatchCore, type WatchTarget } from "./watch-core.js";
import type { WatchEvent } from "./watch-event.js";
import type { ConnectionInfo, WatchOptions } from "./watch-options.js";

export interface BatchOutcome {
  /** As last seen; all of them ended. */
  readonly tasks: ReadonlyMap<TaskId, Task>;
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
}

/** Iterating gives a snapshot of each task known so far, then every event; it ends after `batchComplete`, throws when the watch fails. */
export interface BatchWatch extends AsyncIterable<WatchEvent> {
  /** Null when the tasks were named one by one. */
  readonly batchId: BatchId | null;
  /** A new map whenever a task changed, the same one otherwise. */
  readonly tasks: ReadonlyMap<TaskId, Task>;
  /** Sums over the batch; null until the server has said them. */
  readonly batch: BatchData | null;
  /** Ids that the server can't tell about → why. */
  readonly unavailable: ReadonlyMap<string, string>;
  readonly connection: ConnectionInfo;
  /** When the closed batch, or all named tasks, have ended. Rejects as `TaskWatch.ending` does. */
  readonly done: Promise<BatchOutcome>;
  /** Called after every event and every change of the connection. Returns what stops it. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

/** Throws HoldfastClientError UNKNOWN_OPTION or INVALID_OPTION; everything later rejects `done`. */
export function watchBatch(batchId: string, options: WatchOptions = {}): BatchWatch {
  const id = parseBatchId(batchId);
  if (id === undefined) throw new HoldfastClientError("INVALID_OPTION", `"${batchId}" is no batch id`);
  return new Watch({ path: `/batches/${id}/stream` }, id, options, "watchBatch");
}

// More would make a URL that some proxy refuses; the contract sets the same bound.
const MAX_IDS_IN_URL = 100;

/** Throws as watchBatch does. */
export function watchTasks(taskIds: readonly string[], options: WatchOptions = {}): BatchWatch {
  const ids = taskIds.map((text) => {
    const id = parseTaskId(text);
    if (id === undefined) throw new HoldfastClientError("INVALID_OPTION", `"${text}" is no task id`);
    return id;
  });
  if (ids.length === 0)
    throw new HoldfastClientError("INVALID_OPTION", "watchTasks needs at least one task id");
  return new Watch(toTasksTarget(ids), null, options, "watchTasks");
}

export function toTasksTarget(ids: readonly string[]): WatchTarget {
  return ids.length > MAX_IDS_IN_URL
    ? { path: "/stream", body: { tasks: ids } }
    : { path: `/stream?${ids.map((id) => `task=${id}`).join("&")}` };
}

class Watch implements BatchWatch {
  readonly batchId: BatchId | null;
  readonly done: Promise<BatchOutcome>;
  readonly #core: WatchCore;
  #resolve: (outcome: BatchOutcome) => void = () => undefined;
  #reject: (error: HoldfastClientError) => void = () => undefined;

  constructor(target: WatchTarget, batchId: BatchId | null, options: WatchOptions, where: string) {
    this.batchId = batchId;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Who iterates or subscribes need not await it; unawaited, a rejection must not end a Node process.
    this.done.catch(() => undefined);
    this.#core = new WatchCore(
      target,
      options,
      {
        onEvent: (event) => {
          if (event.type === "batchComplete") this.#end(event.data);
        },
        onFailed: (error) => this.#reject(error),
      },
      where,
    );
  }

  get tasks(): ReadonlyMap<TaskId, Task> {
    return this.#core.tasks;
  }
  get batch(): BatchData | null {
    return this.#core.batch;
  }
  get unavailable(): ReadonlyMap<string, string> {
    return this.#core.unavailable;
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

  #end(counts: { readonly completed: number; readonly failed: number; readonly cancelled: number }): void {
    const { completed, failed, cancelled } = counts;
    this.#resolve({ tasks: this.tasks, completed, failed, cancelled });
    this.#core.finish();
  }
}
