/**
 * One watch for each task, however many look at it: opened with the first listener, closed after the last.
 *
 * It promises that `read` gives the same object until something changed, that a listener which leaves and comes back within one turn
 * (as React's StrictMode makes it do) keeps the watch, and that with no listener nothing is open. It opens nothing by being made.
 * Called by react.ts.
 */
import type { Task } from "@holdfast/protocol";
import { HoldfastClientError } from "./client-error.js";
import { callReporting } from "./report-error.js";
import type { ConnectionInfo } from "./watch-options.js";
import type { Ending, TaskWatch } from "./watch-task.js";

/** What opens a watch: `createSharedStreams()`, or an object around `watchTask` with options of one's own. */
export interface Watcher {
  watchTask(taskId: string): TaskWatch;
}

/** A task as seen so far; a new object whenever something changed. */
export interface TaskState {
  /** Null until the first snapshot. */
  readonly task: Task | null;
  /** Null until the task has ended. */
  readonly ending: Ending | null;
  /** Why nothing more is heard: unknown task, no token, retries used up. */
  readonly error: HoldfastClientError | null;
  /** Null while nothing is watched. */
  readonly connection: ConnectionInfo | null;
}

export const UNWATCHED: TaskState = Object.freeze({
  task: null,
  ending: null,
  error: null,
  connection: null,
});

interface Entry {
  readonly listeners: Set<() => void>;
  readonly close: () => void;
  state: TaskState;
}

export class WatchRegistry {
  readonly #watcher: Watcher;
  readonly #entries = new Map<string, Entry>();

  constructor(watcher: Watcher) {
    this.#watcher = watcher;
  }

  read(taskId: string): TaskState {
    return this.#entries.get(taskId)?.state ?? UNWATCHED;
  }

  /** Returns what stops it. */
  subscribe(taskId: string, listener: () => void): () => void {
    const entry = this.#entries.get(taskId) ?? this.#open(taskId);
    // A wrapper of its own, so that one function subscribed twice is two subscriptions.
    const own = (): void => listener();
    entry.listeners.add(own);
    return () => {
      entry.listeners.delete(own);
      queueMicrotask(() => {
        if (entry.listeners.size > 0 || this.#entries.get(taskId) !== entry) return;
        this.#entries.delete(taskId);
        entry.close();
      });
    };
  }

  #open(taskId: string): Entry {
    const listeners = new Set<() => void>();
    let watch: TaskWatch;
    try {
      watch = this.#watcher.watchTask(taskId);
    } catch (error) {
      if (!(error instanceof HoldfastClientError)) throw error;
      const failed: Entry = { listeners, close: () => undefined, state: { ...UNWATCHED, error } };
      this.#entries.set(taskId, failed);
      return failed;
    }
    const { task, connection } = watch;
    const entry: Entry = { listeners, close: () => watch.close(), state: { ...UNWATCHED, task, connection } };
    this.#entries.set(taskId, entry);
    const change = (changes: Partial<TaskState>): void => {
      entry.state = { ...entry.state, ...changes };
      for (const listener of listeners) callReporting(listener);
    };
    watch.subscribe(() => {
      const { state } = entry;
      if (state.task === watch.task && state.connection === watch.connection) return;
      change({ task: watch.task, connection: watch.connection });
    });
    watch.ending.then(
      (ending) => change({ ending, task: ending.task }),
      (error: unknown) => {
        if (error instanceof HoldfastClientError && this.#entries.get(taskId) === entry) change({ error });
      },
    );
    return entry;
  }
}
