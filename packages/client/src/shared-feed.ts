/**
 * The leader's end of one feed: the one connection to the server that serves what all tabs want of it.
 *
 *     closed ──update──▶ opening ──connected──▶ live ──somebody wants more──▶ opening
 *        ▲                  │                     │
 *        └──── end ◀────────┴──── refused, done ──┘
 *
 *  1. At most one upstream is open: the old one is closed before the next is made.
 *  2. The next goes on at the oldest cursor that anybody needs, so changing the set loses nothing; what overlaps is left out by
 *     each reader.
 *  3. The set is changed only when live. Wishes that come while it opens wait for that, so that a hundred of them cost two
 *     connections, an outage is not hammered, and no timer is needed (a hidden tab has none that it could rely on).
 *  4. Tasks that nobody wants any more leave with the next change, or after a while by a change of their own.
 * Called by TabLead.
 */
import { olderOf } from "./cursor-order.js";
import type { Environment } from "./environment.js";
import { readField } from "./json-field.js";
import type { StreamErrorInfo, StreamMessageEvent, StreamStateInfo } from "./stream-event.js";
import type { FeedBody, FeedKey } from "./tab-message.js";

/** Where the upstream begins. */
export interface UpstreamRequest {
  readonly feed: FeedKey;
  readonly ids: readonly string[];
  readonly lastEventId: string;
}

export interface UpstreamSink {
  message(event: StreamMessageEvent): void;
  state(info: StreamStateInfo): void;
  /** Closed for good by the server: null when it has nothing more to say. */
  over(error: StreamErrorInfo | null): void;
}

export interface Upstream {
  close(): void;
}

export type OpenUpstream = (request: UpstreamRequest, sink: UpstreamSink) => Upstream;

export interface WantedFeed {
  readonly ids: readonly string[];
  /** The oldest cursor of who does not hear it yet; empty when there is none. */
  readonly after: string;
  /** Somebody can't be helped by the upstream that there is. */
  readonly urgent: boolean;
}

export interface SharedFeedOptions {
  readonly feed: FeedKey;
  readonly openUpstream: OpenUpstream;
  readonly environment: Environment;
  readonly post: (body: FeedBody) => void;
  /** These can't be had any more; who wants them still says so again. */
  readonly forget: (ids: readonly string[]) => void;
}

// As many as the server takes on one connection.
const MAX_TASKS = 1000;
// A page that is left for the next one wants the same tasks a moment later.
const SHRINK_MS = 5000;

export class SharedFeed {
  readonly #options: SharedFeedOptions;
  readonly #ended = new Set<string>();
  #upstream: Upstream | undefined;
  #cancelShrink: (() => void) | undefined;
  #info: StreamStateInfo | undefined;
  #live = false;
  #wanted: WantedFeed = { ids: [], after: "", urgent: false };
  #asked: ReadonlySet<string> = new Set();
  #cursor = "";

  constructor(options: SharedFeedOptions) {
    this.#options = options;
  }

  /** Undefined before the first upstream. */
  get info(): StreamStateInfo | undefined {
    return this.#info;
  }

  update(wanted: WantedFeed): void {
    this.#wanted = wanted;
    if (this.#upstream === undefined || (this.#live && (wanted.urgent || this.#lacks()))) this.#open();
    else this.#shrinkLater();
  }

  close(): void {
    this.#cancelShrink?.();
    this.#cancelShrink = undefined;
    this.#upstream?.close();
    this.#upstream = undefined;
    this.#live = false;
  }

  #lacks(): boolean {
    return this.#wanted.ids.some((id) => !this.#asked.has(id));
  }

  #open(): void {
    const { feed, openUpstream } = this.#options;
    this.close();
    const ids = this.#wanted.ids.slice(0, MAX_TASKS);
    this.#asked = new Set(ids);
    for (const id of this.#ended) if (!this.#asked.has(id)) this.#ended.delete(id);
    this.#cursor = olderOf(this.#cursor, this.#wanted.after);
    const sink: UpstreamSink = {
      message: (event) => {
        if (upstream === this.#upstream) this.#hear(event);
      },
      state: (info) => {
        if (upstream === this.#upstream) this.#stand(info);
      },
      over: (error) => {
        if (upstream === this.#upstream) this.#end(error);
      },
    };
    const upstream = openUpstream({ feed, ids, lastEventId: this.#cursor }, sink);
    this.#upstream = upstream;
    const tooMany = this.#wanted.ids.slice(MAX_TASKS);
    if (tooMany.length > 0) this.#refuse(tooMany);
  }

  #hear(event: StreamMessageEvent): void {
    const { type, data, lastEventId } = event;
    const { feed, post } = this.#options;
    const asked = this.#cursor;
    this.#cursor = lastEventId;
    if (type === "connected") {
      this.#live = true;
      post({ kind: "opened", feed, ids: [...this.#asked], asked, cursor: lastEventId, data });
      if (this.#lacks()) this.#open();
      return;
    }
    const taskId = readTaskId(type, data);
    const id = lastEventId === asked ? "" : lastEventId;
    if (taskId !== null && (type === "complete" || type === "failed" || type === "cancelled"))
      this.#ended.add(taskId);
    post({ kind: "event", feed, type, data, id, taskId });
    if (type === "batchComplete") this.#end(null);
  }

  /** A change of the set is no loss: what was open stays so, unless it comes to waiting. */
  #stand(info: StreamStateInfo): void {
    if (info.state === "closed") return;
    if (info.state === "connecting" && this.#info?.state === "open") return;
    this.#info = info;
    const { feed, post } = this.#options;
    post({ kind: "state", feed, info });
  }

  #end(error: StreamErrorInfo | null): void {
    const { feed, post, forget } = this.#options;
    const ids = [...this.#asked];
    const cursor = this.#cursor;
    this.close();
    this.#info = undefined;
    // Nobody goes on from here: who wants more begins anew, or brings a cursor.
    this.#cursor = "";
    this.#asked = new Set();
    post({ kind: "end", feed, ids, cursor, error });
    forget(ids);
  }

  #refuse(ids: readonly string[]): void {
    const detail = `one connection watches at most ${MAX_TASKS} tasks for all tabs together; watch a batch, or share under another scope`;
    const problem = { status: 422, code: "TOO_MANY_TASKS", detail };
    const error: StreamErrorInfo = { terminal: true, reason: "refused", status: 422, problem };
    const { feed, post, forget } = this.#options;
    post({ kind: "end", feed, ids, cursor: "", error });
    forget(ids);
  }

  #shrinkLater(): void {
    if (this.#cancelShrink !== undefined || !this.#isTooLarge()) return;
    this.#cancelShrink = this.#options.environment.setTimer(() => {
      this.#cancelShrink = undefined;
      if (this.#live && this.#isTooLarge()) this.#open();
    }, SHRINK_MS);
  }

  /** A task that has ended costs nothing. */
  #isTooLarge(): boolean {
    const wanted = new Set(this.#wanted.ids);
    return [...this.#asked].some((id) => !wanted.has(id) && !this.#ended.has(id));
  }
}

/** The task that an event speaks of; null when it speaks of none, or of many. */
function readTaskId(type: string, data: string): string | null {
  const task = type === "snapshot" ? readField(data, "task") : undefined;
  const id: unknown =
    typeof task === "object" && task !== null ? Reflect.get(task, "id") : readField(data, "taskId");
  return typeof id === "string" ? id : null;
}
