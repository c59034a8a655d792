/**
 * EventSource as the HTML standard has it [html §9.2], for places that have none: Node, and browsers with fetch and streams but without
 * EventSource. A drop-in: `globalThis.EventSource ??= EventSource`. Decided by the web's own test suite, see e2e/eventsource.
 *
 * Promises the standard and no more: reconnects after the reconnection time (3 s, or `retry:`) when a stream ends or breaks, gives up on any
 * status but 200 and on any other content type, sends the last event id as UTF-8, notices no silence. Who wants to be sure that a stream
 * lives takes StableEventSource.
 * Refuses what the standard refuses: a url that is none is a SyntaxError, no `new` a TypeError.
 * Differs where a script has no choice: its events are not `isTrusted`; an answer that CORS withholds, and a load that the page stops, are the same to it as a broken
 * network, so they are retried; and its `Last-Event-ID` makes a browser ask another origin beforehand (a preflight). Beyond the standard there is `init.fetch`, for headers and proxies.
 */
import { EventHandlers } from "./event-handlers.js";
import { readEventStream, type EventStreamSink } from "./event-stream-reader.js";
import { isEventStream } from "./response-verdict.js";
import { setStreamHeaders } from "./stream-headers.js";

export interface EventSourceInit {
  /** Sends cookies to other origins too; false. */
  readonly withCredentials?: boolean;
  /** Instead of the global one: for headers, a proxy, a certificate. */
  readonly fetch?: typeof fetch;
}

export interface EventSourceEventMap {
  open: Event;
  message: MessageEvent<string>;
  error: Event;
}

// Without `this`, so that the class has the type of the browser's own; in `source.onopen = function () {}` TypeScript knows it anyway.
type Handler<E extends Event> = ((event: E) => unknown) | null;

// "A few seconds", says the standard; what Chromium and others have made of it.
const RECONNECTION_TIME_MS = 3000;
// Beyond 2^31 ms a timer fires at once.
const MAX_TIMER_MS = 2_147_483_647;

const STATES = { CONNECTING: 0, OPEN: 1, CLOSED: 2 } as const;

/** EventTarget's own two, with the types of the events that come here. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- both are inherited, so nothing is promised that is not there
export interface EventSource {
  addEventListener<K extends keyof EventSourceEventMap>(
    type: K,
    listener: (this: EventSource, event: EventSourceEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: (this: EventSource, event: MessageEvent<string>) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof EventSourceEventMap>(
    type: K,
    listener: (this: EventSource, event: EventSourceEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: (this: EventSource, event: MessageEvent<string>) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export class EventSource extends EventTarget {
  declare static readonly CONNECTING: 0;
  declare static readonly OPEN: 1;
  declare static readonly CLOSED: 2;
  declare readonly CONNECTING: 0;
  declare readonly OPEN: 1;
  declare readonly CLOSED: 2;

  readonly #url: string;
  readonly #withCredentials: boolean;
  readonly #fetch: typeof fetch;
  readonly #handlers: EventHandlers = new EventHandlers(this);
  #readyState: 0 | 1 | 2 = STATES.CONNECTING;
  #controller = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reconnectionMs = RECONNECTION_TIME_MS;
  #lastEventId = "";

  static {
    // As WebIDL has them: constants on the interface and its prototype, members that can be enumerated.
    for (const target of [this, this.prototype]) {
      for (const [name, value] of Object.entries(STATES)) {
        Object.defineProperty(target, name, { value, enumerable: true });
      }
    }
    for (const name of ["url", "withCredentials", "readyState", "onopen", "onmessage", "onerror", "close"]) {
      Object.defineProperty(this.prototype, name, { enumerable: true });
    }
    // Also where a minifier has renamed the class.
    Object.defineProperty(this, "name", { value: "EventSource", configurable: true });
    Object.defineProperty(this.prototype, Symbol.toStringTag, { value: "EventSource", configurable: true });
  }

  /** Throws a DOMException SyntaxError for what can't be resolved to a URL; everything later is an event. */
  constructor(url: string | URL, init: EventSourceInit | null = null) {
    // [webidl] A missing argument differs from undefined, which is the URL "undefined".
    if (arguments.length === 0) throw new TypeError("EventSource needs a url: 1 argument required, got 0");
    super();
    this.#url = resolve(String(url));
    this.#withCredentials = Boolean(init?.withCredentials);
    // Looked up at the call and called without a receiver, as browsers insist.
    this.#fetch = init?.fetch ?? ((input, request) => globalThis.fetch(input, request));
    void this.#connect();
  }

  get url(): string {
    return this.#url;
  }

  get withCredentials(): boolean {
    return this.#withCredentials;
  }

  get readyState(): 0 | 1 | 2 {
    return this.#readyState;
  }

  get onopen(): Handler<Event> {
    return this.#handlers.get("open") as Handler<Event>;
  }
  set onopen(handler: Handler<Event>) {
    this.#handlers.set("open", handler);
  }

  get onmessage(): Handler<MessageEvent<string>> {
    return this.#handlers.get("message") as Handler<MessageEvent<string>>;
  }
  set onmessage(handler: Handler<MessageEvent<string>>) {
    this.#handlers.set("message", handler);
  }

  get onerror(): Handler<Event> {
    return this.#handlers.get("error") as Handler<Event>;
  }
  set onerror(handler: Handler<Event>) {
    this.#handlers.set("error", handler);
  }

  /** Final; also cancels a pending reconnect. Fires nothing. */
  close(): void {
    this.#readyState = STATES.CLOSED;
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  async #connect(): Promise<void> {
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    try {
      const headers = new Headers();
      setStreamHeaders(headers, this.#lastEventId);
      const response = await this.#fetch(this.#url, {
        headers,
        cache: "no-store",
        credentials: this.#withCredentials ? "include" : "same-origin",
        signal,
      });
      if (response.status !== 200 || !isEventStream(response.headers.get("content-type"))) this.#fail();
      else await this.#read(response, signal);
      this.#reestablish(signal);
    } catch {
      if (signal.aborted) return;
      // [html §9.2.2] What can't ever succeed is not tried again.
      if (!/^https?:/.test(this.#url)) this.#fail();
      else this.#reestablish(signal);
    }
  }

  async #read(response: Response, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    // A fetch of somebody's own may answer with a response that it made, and that has no url.
    const { origin } = new URL(response.url || this.#url);
    this.#readyState = STATES.OPEN;
    this.dispatchEvent(new Event("open"));
    const sink: EventStreamSink = {
      bytes: () => undefined,
      isOver: () => signal.aborted,
      event: ({ id, event = "message", data }) => {
        if (id !== undefined) this.#lastEventId = id;
        this.dispatchEvent(new MessageEvent(event, { data, origin, lastEventId: this.#lastEventId }));
      },
      id: (id) => {
        this.#lastEventId = id;
      },
      retry: (retryMs) => {
        this.#reconnectionMs = Math.min(retryMs, MAX_TIMER_MS);
      },
      oversized: () => this.#fail(),
    };
    await readEventStream(response, sink);
  }

  #reestablish(signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#readyState = STATES.CONNECTING;
    // Before the listeners hear of it: one of them may close.
    this.#timer = setTimeout(() => void this.#connect(), this.#reconnectionMs);
    this.dispatchEvent(new Event("error"));
  }

  #fail(): void {
    if (this.#controller.signal.aborted) return;
    this.close();
    this.dispatchEvent(new Event("error"));
  }
}

/** [html §9.2.1] relative to the document, or to the worker's own script. */
function resolve(url: string): string {
  const page = typeof document === "undefined" ? undefined : document.baseURI;
  const base = page ?? (typeof location === "undefined" ? undefined : location.href);
  try {
    return new URL(url, base).href;
  } catch {
    throw new DOMException(`"${url}" is no URL here`, "SyntaxError");
  }
}
