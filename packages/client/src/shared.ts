/**
 * One connection for all tabs: what a page calls. Watches made here are those of watchTask, watchBatch and watchTasks, only that their
 * events come over a connection that one tab holds for all. How: shared-tab.ts.
 */
import { HoldfastClientError } from "./client-error.js";
import type { FeedView } from "./feed-reader.js";
import { resolveBaseUrl } from "./holdfast-api.js";
import { assertKnownOptions } from "./option-check.js";
import { randomTaskId } from "./random-task-id.js";
import { SharedTab } from "./shared-tab.js";
import { INTERNALS, resolveStreamOptions } from "./stream-options.js";
import type { FeedKey } from "./tab-message.js";
import { readTabSurroundings } from "./tab-surroundings.js";
import { toOpenUpstream } from "./upstream.js";
import { watchBatch, watchTasks, type BatchWatch } from "./watch-batch.js";
import { toStreamOptions, type WatchOptions } from "./watch-options.js";
import { watchTask, type TaskWatch } from "./watch-task.js";

/** As of watchTask: what is of the connection, and what of one watch serves as default for all. */
export interface SharedStreamsOptions extends Omit<WatchOptions, "signal"> {
  /** Whose connection it is, such as the user's id. Tabs share when they have the same `baseUrl` and the same scope. Needed with `headers`, which may be another user's in another tab. */
  readonly scope?: string;
}

/** Of one watch. */
export type SharedWatchOptions = Pick<WatchOptions, "onEvent" | "onConnection" | "signal">;

export interface SharedStreams {
  watchTask(taskId: string, options?: SharedWatchOptions): TaskWatch;
  watchBatch(batchId: string, options?: SharedWatchOptions): BatchWatch;
  watchTasks(taskIds: readonly string[], options?: SharedWatchOptions): BatchWatch;
  /** Whether this tab holds the connection at the moment. */
  readonly leading: boolean;
  /** Every watch made here rejects with ABORTED; another tab takes the connection over. */
  close(): void;
}

const KNOWN: { readonly [K in keyof SharedWatchOptions]-?: true } = {
  onEvent: true,
  onConnection: true,
  signal: true,
};

/** Throws HoldfastClientError UNKNOWN_OPTION or INVALID_OPTION; also when `headers` come without a `scope`. */
export function createSharedStreams(options: SharedStreamsOptions = {}): SharedStreams {
  return new Streams(options);
}

class Streams implements SharedStreams {
  readonly #options: WatchOptions;
  readonly #tab: SharedTab;

  constructor({ scope, ...options }: SharedStreamsOptions) {
    const stream = toStreamOptions(options, "createSharedStreams");
    if (options.headers !== undefined && scope === undefined) {
      throw new HoldfastClientError(
        "INVALID_OPTION",
        "createSharedStreams got headers without scope; name whose they are (the user's id, say), so that no tab of another user shares",
      );
    }
    // What is refused is refused here, not in whichever tab opens the connection.
    resolveStreamOptions(stream);
    this.#options = options;
    const base = resolveBaseUrl(options.baseUrl);
    this.#tab = new SharedTab({
      // The number is that of what tabs say to each other: those of an older page that speak another language keep to themselves.
      name: `holdfast 1 ${base} ${scope ?? ""}`,
      tab: randomTaskId(),
      surroundings: readTabSurroundings(),
      openUpstream: toOpenUpstream(base, stream),
    });
  }

  get leading(): boolean {
    return this.#tab.leading;
  }

  watchTask(taskId: string, options: SharedWatchOptions = {}): TaskWatch {
    return watchTask(taskId, this.#toOptions("tasks", { kind: "task", id: taskId }, options, "watchTask"));
  }

  watchBatch(batchId: string, options: SharedWatchOptions = {}): BatchWatch {
    return watchBatch(batchId, this.#toOptions(`batch:${batchId}`, { kind: "batch" }, options, "watchBatch"));
  }

  watchTasks(taskIds: readonly string[], options: SharedWatchOptions = {}): BatchWatch {
    const view: FeedView = { kind: "tasks", ids: new Set(taskIds) };
    return watchTasks(taskIds, this.#toOptions("tasks", view, options, "watchTasks"));
  }

  close(): void {
    this.#tab.close();
  }

  #toOptions(feed: FeedKey, view: FeedView, options: SharedWatchOptions, where: string): WatchOptions {
    assertKnownOptions(options, KNOWN, `${where} of shared streams`);
    return {
      ...this.#options,
      ...options,
      [INTERNALS]: {
        ...this.#options[INTERNALS],
        openShared: (onAny) => this.#tab.open({ feed, view, onAny }),
      },
    };
  }
}
