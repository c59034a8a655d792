import { isLater } from "./cursor-order.js";
import { FeedReader, type FeedView } from "./feed-reader.js";
import { callReporting } from "./report-error.js";
import {
  StreamErrorEvent,
  StreamMessageEvent,
  StreamStateEvent,
  type StreamErrorInfo,
  type StreamStateInfo,
} from "./stream-event.js";
import type { StreamSource } from "./stream-source.js";
import type { CloseReason } from "./stream-state.js";
import type { EndBody, EventBody, FeedKey, OpenedBody } from "./tab-message.js";

export interface SharedSourceOwner {
  /** It is closed: nobody wants its feed any more. */
  left(source: SharedSource): void;
}

export interface SharedSourceOptions {
  readonly feed: FeedKey;
  readonly view: FeedView;
  readonly info: StreamStateInfo;
  readonly onAny: (event: StreamMessageEvent) => void;
  readonly owner: SharedSourceOwner;
}

type ListenerPair =
  | ["state", (event: StreamStateEvent) => void]
  | ["error", (event: StreamErrorEvent) => void];

// As the server would have answered on a stream of the task's own. [wire: many-order]
const UNAVAILABLE_STATUS: { readonly [code: string]: number } = { TASK_NOT_FOUND: 404, TASK_EXPIRED: 410 };

/** One watch's share of a feed, shaped as a stream of its own. Called by SharedTab. */
export class SharedSource implements StreamSource {
  readonly feed: FeedKey;
  readonly view: FeedView;
  readonly #reader: FeedReader;
  readonly #owner: SharedSourceOwner;
  readonly #onState = new Set<(event: StreamStateEvent) => void>();
  readonly #onError = new Set<(event: StreamErrorEvent) => void>();
  #info: StreamStateInfo;

  constructor({ feed, view, info, onAny, owner }: SharedSourceOptions) {
    this.feed = feed;
    this.view = view;
    this.#info = info;
    this.#owner = owner;
    this.#reader = new FeedReader(view, {
      message: (type, data, lastEventId) => {
        // A callback of the event before may have closed it.
        if (this.readyState !== 2) onAny(new StreamMessageEvent(type, { data, lastEventId, origin: "" }));
      },
      refused: (code) => {
        const status = UNAVAILABLE_STATUS[code] ?? 403;
        this.#fail({ terminal: true, reason: "refused", status, problem: { status, code } });
      },
    });
  }

  addEventListener(type: "state", listener: (event: StreamStateEvent) => void): void;
  addEventListener(type: "error", listener: (event: StreamErrorEvent) => void): void;
  addEventListener(...[type, listener]: ListenerPair): void {
    if (type === "state") this.#onState.add(listener);
    else this.#onError.add(listener);
  }

  /** A watch that does not hear the feed yet is connecting, whatever is open for others. */
  get state(): StreamStateInfo {
    const info = this.#info;
    return info.state === "open" && !this.joined ? { ...info, state: "connecting", reason: "start" } : info;
  }
  get readyState(): 0 | 1 | 2 {
    const { state } = this.state;
    if (state === "open") return 1;
    return state === "closed" ? 2 : 0;
  }
  get joined(): boolean {
    return this.#reader.joined;
  }
  get after(): string {
    return this.#reader.after;
  }

  close(): void {
    this.#close("closed");
  }

  abort(): void {
    this.#close("aborted");
  }

  leave(): void {
    this.#reader.leave();
  }

  /** What the leader says of the connection. */
  stand(info: StreamStateInfo): void {
    if (this.readyState === 2 || info.state === "closed") return;
    this.#info = info;
    this.#tellState();
  }

  opened(body: OpenedBody): void {
    const before = this.joined;
    this.#reader.opened(body);
    if (this.joined !== before) this.#tellState();
  }

  take(body: EventBody): void {
    if (this.readyState !== 2) this.#reader.take(body);
  }

  end({ ids, cursor, error }: EndBody): void {
    const own = this.#readIds();
    if (error !== null) {
      if (own.length === 0 || own.some((id) => ids.includes(id))) this.#fail(error);
    } else if (own.every((id) => ids.includes(id))) {
      this.#reader.leave();
      // Who has not come as far goes on from where it is; who begins anew does so.
      if (this.after !== "" && !isLater(cursor, this.after)) this.#close("done");
    }
  }

  /** None for a batch. */
  #readIds(): readonly string[] {
    const { view } = this;
    if (view.kind === "batch") return [];
    return view.kind === "task" ? [view.id] : [...view.ids];
  }

  #fail(error: StreamErrorInfo): void {
    this.#close("refused");
    for (const listener of this.#onError) callReporting(listener, new StreamErrorEvent(error));
  }

  #close(reason: Extract<CloseReason, "aborted" | "closed" | "done" | "refused">): void {
    if (this.readyState === 2) return;
    this.#info = { ...this.#info, state: "closed", reason, nextAttemptAt: null };
    this.#owner.left(this);
    this.#tellState();
  }

  #tellState(): void {
    for (const listener of this.#onState) callReporting(listener, new StreamStateEvent(this.state));
  }
}
