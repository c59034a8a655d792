/**
 * An EventSource that comes back. The shell around the grid of stream-state.ts: it turns what happens (a connection's end, a timer,
 * a woken page) into inputs, gives each new state what it owns (a connection, a timer), and announces it.
 *
 * It promises the whole EventSource interface; that listeners, the last event id and closedness survive every reconnect; that
 * running out of retries is a terminal `error`, not silence; that `close()` is final and leaves no timer, listener or socket.
 * It refuses unknown options. Beyond `open`, `error`, `message` and the stream's own events it fires `state` for every transition.
 *
 * A server's event named `open`, `error` or `state` arrives under that name as a StreamMessageEvent, as WHATWG has it.
 */
import type { StreamEvents } from "@holdfast/protocol";
import type { StreamEvent } from "./event-stream-parser.js";
import { BACKOFF_CAP_MS } from "./backoff.js";
import { Connection, type ConnectionRequest, type ConnectionSink } from "./connection.js";
import { readField } from "./json-field.js";
import { resolveUrl } from "./option-check.js";
import { PollConnection } from "./poll-connection.js";
import { callReporting } from "./report-error.js";
import {
  StreamErrorEvent,
  StreamMessageEvent,
  StreamStateEvent,
  type StreamStateInfo,
} from "./stream-event.js";
import { StreamJournal } from "./stream-journal.js";
import {
  resolveStreamOptions,
  type StableEventSourceOptions,
  type StreamSettings,
} from "./stream-options.js";
import { initialState, step, type StreamInput, type StreamState } from "./stream-state.js";
import { POLL_FOR_MS, PROBED } from "./transport-choice.js";
import { recallPollUntil, rememberPollUntil } from "./transport-memory.js";
import { listenForWake } from "./wake.js";

/** Event name → event, for the listeners' types. */
export type StableEventSourceEventMap = {
  open: Event;
  error: StreamErrorEvent;
  state: StreamStateEvent;
  message: StreamMessageEvent;
} & { [K in keyof StreamEvents]: StreamMessageEvent<StreamEvents[K]> };

type Handler<E> = ((this: StableEventSource, event: E) => void) | null;

interface Handlers {
  open: Handler<Event>;
  message: Handler<StreamMessageEvent>;
  error: Handler<StreamErrorEvent>;
}

// Two heartbeats may be late or lost before a third is waited for; proxies cut silent streams at 30 s and more.
const HEARTBEATS_UNTIL_DEAD = 2.5;
const SILENCE_UNANNOUNCED_MS = 45_000;
// Whatever the outage was, the stream is whole again within a heartbeat of its end: half of one is left to connect in.
const HEARTBEATS_BETWEEN_ATTEMPTS = 0.5;
// A connection that lasted this long was no accept-and-close.
const HEALTHY_AFTER_MS = 5000;
// `drain` says when to return; an hour is more than any deploy, and less than a timer can hold.
const MAX_DRAIN_MS = 3_600_000;
// Enough to keep a thousand woken tabs from knocking in one millisecond, too short to notice.
const WAKE_JITTER_MS = 250;

/** What a connection may begin with before anything new is heard: no proof of health. */
const GREETING: ReadonlySet<string> = new Set([
  "connected",
  "snapshot",
  "unavailable",
  "gap",
  "batch",
  "drain",
]);

/** The types of EventTarget's own methods, told the events there are; the methods are inherited. */
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging -- it names only methods that EventTarget has
export interface StableEventSource {
  addEventListener<K extends keyof StableEventSourceEventMap>(
    type: K,
    listener: (this: StableEventSource, event: StableEventSourceEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: (this: StableEventSource, event: StreamMessageEvent) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof StableEventSourceEventMap>(
    type: K,
    listener: (this: StableEventSource, event: StableEventSourceEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: (this: StableEventSource, event: StreamMessageEvent) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
}

export class StableEventSource extends EventTarget {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly CLOSED = 2;
  readonly CONNECTING = 0;
  readonly OPEN = 1;
  readonly CLOSED = 2;
  readonly url: string;
  readonly withCredentials: boolean;

  readonly #settings: StreamSettings;
  readonly #canStepDown: boolean;
  readonly #journal = new StreamJournal();
  readonly #handlers: Partial<Handlers> = {};
  readonly #release: () => void;
  #state: StreamState;
  #connection: Connection | PollConnection | undefined;
  /** Of `waiting`: the retry. Of `open`: health. */
  #cancelTimer: (() => void) | undefined;
  #lastEventId: string;
  #lastByteAtMs: number | null = null;
  #silenceMs: number;
  #backoffCapMs = BACKOFF_CAP_MS;
  #origin = "";

  /** Throws HoldfastClientError UNKNOWN_OPTION or INVALID_OPTION; everything later is an event. */
  constructor(url: string | URL, options: StableEventSourceOptions = {}) {
    super();
    this.#settings = resolveStreamOptions(options);
    this.url = resolveUrl(url);
    const { withCredentials, lastEventId, heartbeatTimeout, signal, transports, environment } =
      this.#settings;
    this.withCredentials = withCredentials;
    this.#lastEventId = lastEventId;
    this.#silenceMs = heartbeatTimeout ?? SILENCE_UNANNOUNCED_MS;
    const [transport = "sse"] = transports;
    this.#canStepDown = transport === "sse" && transports.includes("poll");
    const pollUntilMs = this.#canStepDown
      ? recallPollUntil(new URL(this.url).origin, environment.now(), POLL_FOR_MS)
      : 0;
    this.#state = initialState(
      pollUntilMs > 0
        ? { transport: "poll", mute: PROBED.mute, pollUntilMs }
        : { transport, mute: 0, pollUntilMs: Infinity },
    );
    const onAbort = (): void => this.#take({ kind: "close", reason: "aborted" });
    signal?.addEventListener("abort", onAbort);
    const stopWake = listenForWake(() => this.#take({ kind: "wake", jitterMs: WAKE_JITTER_MS }));
    this.#release = () => {
      signal?.removeEventListener("abort", onAbort);
      stopWake();
    };
    if (signal?.aborted === true) onAbort();
    // A tick later, so that listeners added after `new` hear of the first attempt.
    queueMicrotask(() => this.#take({ kind: "start" }));
  }

  get readyState(): 0 | 1 | 2 {
    if (this.#state.kind === "open") return this.OPEN;
    return this.#state.kind === "closed" ? this.CLOSED : this.CONNECTING;
  }

  /** The id that the next attempt resumes from; empty for none. */
  get lastEventId(): string {
    return this.#lastEventId;
  }

  /** What the last `state` event said, the age of the last byte as of now. */
  get state(): StreamStateInfo {
    const { kind, reason, failures, nextAttemptAtMs, transport } = this.#state;
    const atMs = this.#lastByteAtMs;
    return {
      state: kind,
      reason,
      attempt: failures,
      nextAttemptAt: nextAttemptAtMs,
      transport,
      lastByteAgeMs: atMs === null ? null : Math.max(0, this.#settings.environment.now() - atMs),
    };
  }

  /** Final; also cancels a pending retry. */
  close(): void {
    this.#take({ kind: "close", reason: "closed" });
  }

  /** Ends a wait now, or when `Retry-After` or `drain` allow it; does nothing in any other state. */
  retryNow(): void {
    this.#take({ kind: "wake", jitterMs: 0 });
  }

  get onopen(): Handler<Event> {
    return this.#handlers.open ?? null;
  }
  set onopen(handler: Handler<Event>) {
    this.#handle("open", handler);
  }
  get onmessage(): Handler<StreamMessageEvent> {
    return this.#handlers.message ?? null;
  }
  set onmessage(handler: Handler<StreamMessageEvent>) {
    this.#handle("message", handler);
  }
  get onerror(): Handler<StreamErrorEvent> {
    return this.#handlers.error ?? null;
  }
  set onerror(handler: Handler<StreamErrorEvent>) {
    this.#handle("error", handler);
  }

  /** [html §8.1.8.1] a handler keeps its place among the listeners when it is exchanged. */
  #handle<K extends keyof Handlers>(type: K, handler: Handlers[K]): void {
    const first = !(type in this.#handlers);
    this.#handlers[type] = handler;
    if (first) this.addEventListener(type, (event) => this.#handlers[type]?.call(this, event as never));
  }

  #take(input: StreamInput): void {
    const { maxRetries, retryDelay, headers, environment } = this.#settings;
    const before = this.#state;
    const state = step(before, input, {
      nowMs: environment.now(),
      random: environment.random(),
      maxRetries,
      retryDelayMs: retryDelay,
      backoffCapMs: this.#backoffCapMs,
      canRefresh: typeof headers === "function",
      canStepDown: this.#canStepDown,
    });
    if (state === before) return;
    this.#state = state;
    this.#provide(before, state);
    this.#announce(before, state);
  }

  /** What a state owns. Deeds come before announcements, so a listener that calls `close()` finds nothing half done. */
  #provide(before: StreamState, state: StreamState): void {
    const { kind, nextAttemptAtMs, pollUntilMs } = state;
    const { environment } = this.#settings;
    if (kind !== before.kind || kind === "waiting") {
      this.#cancelTimer?.();
      this.#cancelTimer = undefined;
    }
    if (nextAttemptAtMs !== null) {
      const delayMs = nextAttemptAtMs - environment.now();
      this.#cancelTimer = environment.setTimer(() => this.#take({ kind: "timer" }), delayMs);
    } else if (kind === "open") {
      this.#cancelTimer ??= environment.setTimer(() => this.#take({ kind: "healthy" }), HEALTHY_AFTER_MS);
    }
    if (kind !== "open") this.#connection?.abort();
    if (kind === "connecting") this.#connect();
    else if (kind === "closed") this.#release();
    if (pollUntilMs !== before.pollUntilMs) rememberPollUntil(new URL(this.url).origin, pollUntilMs);
  }

  #announce(before: StreamState, state: StreamState): void {
    const { kind, reason, nextAttemptAtMs, loss } = state;
    const entered = kind !== before.kind;
    if (!entered && reason === before.reason && nextAttemptAtMs === before.nextAttemptAtMs) return;
    const told = new StreamStateEvent(this.state);
    const { debug } = this.#settings;
    if (typeof debug === "function") callReporting(debug, told.message);
    // oxlint-disable-next-line no-console -- asked for by `debug: true`
    else if (debug) console.debug("[holdfast]", told.message, this.url);
    this.dispatchEvent(told);
    // A listener has moved the stream on: what follows is no longer true.
    if (this.#state !== state || !entered) return;
    if (kind === "open") this.dispatchEvent(new Event("open"));
    else if (loss !== null) {
      this.dispatchEvent(new StreamErrorEvent({ ...loss, reason, terminal: kind === "closed" }));
    }
  }

  #connect(): void {
    const { environment } = this.#settings;
    const sink: ConnectionSink = {
      opened: (origin) => {
        this.#origin = origin;
        this.#take({ kind: "opened" });
      },
      heard: () => {
        this.#lastByteAtMs = environment.now();
      },
      message: (message) => this.#deliver(message),
      cursor: (id) => {
        this.#lastEventId = id;
      },
      retry: (retryMs) => this.#take({ kind: "retry", retryMs }),
      end: (end) => this.#take(end),
    };
    const { transport, pollUntilMs } = this.#state;
    this.#connection =
      transport === "poll"
        ? new PollConnection(() => this.#compose(), sink, environment, pollUntilMs)
        : new Connection(this.#compose(), sink, environment);
  }

  #compose(): ConnectionRequest {
    const { connectTimeout } = this.#settings;
    this.#journal.begin();
    return {
      ...this.#settings,
      url: this.url,
      lastEventId: this.#lastEventId,
      connectTimeoutMs: connectTimeout,
      // Our server writes its first event together with the head; what others do first, nobody knows.
      firstByteMs: this.#canStepDown ? connectTimeout : this.#silenceMs,
      silenceMs: this.#silenceMs,
    };
  }

  #deliver(message: StreamEvent): boolean {
    const { event: type = "message", data, id } = message;
    // Before the id is kept: a replayed one must not move the resume point back.
    const verdict = this.#journal.judge(message);
    if (verdict !== "new") return verdict === "replayed";
    if (id !== undefined) this.#lastEventId = id;
    const event = new StreamMessageEvent(type, {
      data,
      lastEventId: this.#lastEventId,
      origin: this.#origin,
    });
    if (!GREETING.has(type)) this.#take({ kind: "event" });
    else if (type === "connected") this.#hearHeartbeat(readNumber(data, "heartbeatMs"));
    else if (type === "drain") this.#hearDrain(readNumber(data, "reconnectInMs"));
    // A listener of the state just told may have closed the stream.
    if (this.#state.kind === "closed") return true;
    this.#settings.onAny(event);
    this.dispatchEvent(event);
    return true;
  }

  #hearHeartbeat(heartbeatMs: number | undefined): void {
    if (heartbeatMs === undefined || heartbeatMs === 0) return;
    this.#backoffCapMs = Math.min(BACKOFF_CAP_MS, heartbeatMs * HEARTBEATS_BETWEEN_ATTEMPTS);
    if (this.#settings.heartbeatTimeout !== undefined) return;
    this.#silenceMs = heartbeatMs * HEARTBEATS_UNTIL_DEAD;
    this.#connection?.expect(this.#silenceMs);
  }

  #hearDrain(reconnectInMs: number | undefined): void {
    if (reconnectInMs === undefined) return;
    this.#take({ kind: "drain", reconnectInMs: Math.min(reconnectInMs, MAX_DRAIN_MS) });
  }
}

/** A finite number ≥ 0 of that name in a JSON object. */
function readNumber(data: string, name: string): number | undefined {
  const field = readField(data, name);
  return typeof field === "number" && field >= 0 && field < Infinity ? field : undefined;
}
