/**
 * An EventSource that comes back. The shell around the table in stream-state.ts: it turns what happens (a connection's end, a timer,
 * a woken page) into inputs, and the table's effects into deeds.
 *
 * It promises the whole EventSource interface; that listeners, the last event id and closedness survive every reconnect; that
 * running out of retries is a terminal `error`, not silence; that `close()` is final and leaves no timer, listener or socket.
 * It refuses unknown options. Beyond `open`, `error`, `message` and the stream's own events it fires `state`.
 *
 * A server's event named `open`, `error` or `state` arrives under that name as a StreamMessageEvent, as WHATWG has it.
 */
import type { StreamEvents } from "@holdfast/protocol";
import type { EventSourceMessage } from "eventsource-parser";
import { BACKOFF_CAP_MS } from "./backoff.js";
import { Connection, type ConnectionRequest, type ConnectionSink } from "./connection.js";
import { readField } from "./json-field.js";
import { resolveUrl } from "./option-check.js";
import { PollConnection } from "./poll-connection.js";
import { ReplayFilter } from "./replay-filter.js";
import {
  StreamErrorEvent,
  StreamMessageEvent,
  StreamStateEvent,
  type StreamStateInfo,
} from "./stream-event.js";
import {
  resolveStreamOptions,
  type StableEventSourceOptions,
  type StreamSettings,
} from "./stream-options.js";
import {
  INITIAL_STATE,
  step,
  type StreamEffect,
  type StreamInput,
  type StreamState,
} from "./stream-state.js";
import { listenForWake } from "./wake.js";

/** Event name → event, for the listeners' types. */
export type StableEventSourceEventMap = {
  open: Event;
  error: StreamErrorEvent;
  state: StreamStateEvent;
  message: StreamMessageEvent;
} & { [K in keyof StreamEvents]: StreamMessageEvent<StreamEvents[K]> };

type Handler<E> = ((this: StableEventSource, event: E) => void) | null;
/** Any of the overloads' listeners; the overloads pair it with the event it gets. */
type Listener = ((this: StableEventSource, event: never) => void) | EventListenerObject;

// Two heartbeats may be late or lost before a third is waited for; proxies cut silent streams at 30 s and more.
const HEARTBEATS_UNTIL_DEAD = 2.5;
const SILENCE_UNANNOUNCED_MS = 45_000;
// Whatever the outage was, the stream is whole again within a heartbeat of its end: half of one is left to connect in.
const HEARTBEATS_BETWEEN_ATTEMPTS = 0.5;
// A connection that lasted this long was no accept-and-close.
const HEALTHY_AFTER_MS = 5000;
// `drain` says when to return; an hour is more than any deploy, and less than a timer can hold.
const MAX_DRAIN_MS = 3_600_000;

/** What a connection may begin with before anything new is heard: no proof of health. */
const GREETING: ReadonlySet<string> = new Set([
  "connected",
  "snapshot",
  "unavailable",
  "gap",
  "batch",
  "drain",
]);

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
  readonly #filter = new ReplayFilter();
  readonly #handled = new Set<string>();
  readonly #release: () => void;
  #state: StreamState = INITIAL_STATE;
  #connection: Connection | PollConnection | undefined;
  #cancelWait: (() => void) | undefined;
  #cancelHealth: (() => void) | undefined;
  #lastEventId: string;
  #silenceMs: number;
  #backoffCapMs = BACKOFF_CAP_MS;
  #origin = "";
  #onopen: Handler<Event> = null;
  #onmessage: Handler<StreamMessageEvent> = null;
  #onerror: Handler<StreamErrorEvent> = null;

  /** Throws HoldfastClientError UNKNOWN_OPTION or INVALID_OPTION; everything later is an event. */
  constructor(url: string | URL, options: StableEventSourceOptions = {}) {
    super();
    this.#settings = resolveStreamOptions(options);
    this.url = resolveUrl(url);
    this.withCredentials = this.#settings.withCredentials;
    this.#lastEventId = this.#settings.lastEventId;
    this.#silenceMs = this.#settings.silenceMs ?? SILENCE_UNANNOUNCED_MS;
    const { signal } = this.#settings;
    const onAbort = (): void => this.#take({ kind: "close", reason: "aborted" });
    signal?.addEventListener("abort", onAbort);
    const stopWake = listenForWake(() => this.#take({ kind: "wake" }));
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

  /** What the last `state` event said. */
  get state(): StreamStateInfo {
    const state = this.#state;
    return {
      state: state.kind,
      reason: state.reason,
      attempt: state.memory.failures,
      nextAttemptAt: state.kind === "waiting" ? state.nextAttemptAtMs : null,
      transport: this.#settings.transport,
    };
  }

  /** Final; also cancels a pending retry. */
  close(): void {
    this.#take({ kind: "close", reason: "closed" });
  }

  override addEventListener<K extends keyof StableEventSourceEventMap>(
    type: K,
    listener: (this: StableEventSource, event: StableEventSourceEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: (this: StableEventSource, event: StreamMessageEvent) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  override addEventListener(
    type: string,
    listener: Listener | null,
    options?: boolean | AddEventListenerOptions,
  ): void {
    super.addEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  override removeEventListener<K extends keyof StableEventSourceEventMap>(
    type: K,
    listener: (this: StableEventSource, event: StableEventSourceEventMap[K]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: (this: StableEventSource, event: StreamMessageEvent) => void,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | EventListenerOptions,
  ): void;
  override removeEventListener(
    type: string,
    listener: Listener | null,
    options?: boolean | EventListenerOptions,
  ): void {
    super.removeEventListener(type, listener as EventListenerOrEventListenerObject | null, options);
  }

  get onopen(): Handler<Event> {
    return this.#onopen;
  }
  set onopen(handler: Handler<Event>) {
    this.#onopen = handler;
    this.#handle("open", () => this.addEventListener("open", (event) => this.#onopen?.(event)));
  }
  get onmessage(): Handler<StreamMessageEvent> {
    return this.#onmessage;
  }
  set onmessage(handler: Handler<StreamMessageEvent>) {
    this.#onmessage = handler;
    this.#handle("message", () => this.addEventListener("message", (event) => this.#onmessage?.(event)));
  }
  get onerror(): Handler<StreamErrorEvent> {
    return this.#onerror;
  }
  set onerror(handler: Handler<StreamErrorEvent>) {
    this.#onerror = handler;
    this.#handle("error", () => this.addEventListener("error", (event) => this.#onerror?.(event)));
  }

  /** [html §8.1.8.1] a handler keeps its place among the listeners when it is exchanged. */
  #handle(name: string, listen: () => void): void {
    if (this.#handled.has(name)) return;
    this.#handled.add(name);
    listen();
  }

  #take(input: StreamInput): void {
    const { maxRetries, retryDelayMs, headers, environment } = this.#settings;
    const { state, effects } = step(this.#state, input, {
      nowMs: environment.now(),
      random: environment.random(),
      maxRetries,
      retryDelayMs,
      backoffCapMs: this.#backoffCapMs,
      canRefresh: typeof headers === "function",
    });
    this.#state = state;
    this.#watchHealth();
    if (state.kind === "closed") this.#release();
    for (const effect of effects) {
      // A listener of an earlier announcement has moved the stream on: what follows is no longer true.
      if (this.#state !== state) return;
      this.#perform(effect);
    }
  }

  #watchHealth(): void {
    if (this.#state.kind !== "open") {
      this.#cancelHealth?.();
      this.#cancelHealth = undefined;
    } else {
      this.#cancelHealth ??= this.#settings.environment.setTimer(
        () => this.#take({ kind: "healthy" }),
        HEALTHY_AFTER_MS,
      );
    }
  }

  #perform(effect: StreamEffect): void {
    switch (effect.kind) {
      case "connect":
        this.#connect();
        return;
      case "disconnect":
        this.#connection?.abort();
        return;
      case "wait":
        this.#cancelWait = this.#settings.environment.setTimer(
          () => this.#take({ kind: "timer" }),
          effect.delayMs,
        );
        return;
      case "cancelWait":
        this.#cancelWait?.();
        return;
      case "emitState":
        this.#settings.debug(describe(this.state, this.url));
        this.dispatchEvent(new StreamStateEvent(this.state));
        return;
      case "emitOpen":
        this.dispatchEvent(new Event("open"));
        return;
      case "emitError":
        this.dispatchEvent(new StreamErrorEvent(effect));
        return;
    }
  }

  #connect(): void {
    const { transport, environment } = this.#settings;
    const sink: ConnectionSink = {
      opened: (origin) => {
        this.#origin = origin;
        this.#take({ kind: "opened" });
      },
      message: (message) => this.#deliver(message),
      retry: (retryMs) => this.#take({ kind: "retry", retryMs }),
      end: (end) => this.#take(end),
    };
    this.#connection =
      transport === "poll"
        ? new PollConnection(() => this.#compose(), sink, environment)
        : new Connection(this.#compose(), sink, environment);
  }

  #compose(): ConnectionRequest {
    const { method, body, headers, withCredentials, connectTimeoutMs } = this.#settings;
    this.#filter.begin();
    return {
      url: this.url,
      method,
      body,
      headers,
      withCredentials,
      fetch: this.#settings.fetch,
      lastEventId: this.#lastEventId,
      connectTimeoutMs,
      silenceMs: this.#silenceMs,
    };
  }

  #deliver({ event: type = "message", data, id }: EventSourceMessage): void {
    // Before the id is kept: a replayed one must not move the resume point back.
    if (!this.#filter.accept(type, id)) return;
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
    if (this.#state.kind === "closed") return;
    this.#settings.onAny(event);
    this.dispatchEvent(event);
  }

  #hearHeartbeat(heartbeatMs: number | undefined): void {
    if (heartbeatMs === undefined || heartbeatMs === 0) return;
    this.#backoffCapMs = Math.min(BACKOFF_CAP_MS, heartbeatMs * HEARTBEATS_BETWEEN_ATTEMPTS);
    if (this.#settings.silenceMs !== null) return;
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
  return typeof field === "number" && Number.isFinite(field) && field >= 0 ? field : undefined;
}

function describe(info: StreamStateInfo, url: string): string {
  const next =
    info.nextAttemptAt === null ? "" : `, next attempt at ${new Date(info.nextAttemptAt).toISOString()}`;
  return `${info.state} (${info.reason}), failures ${info.attempt}${next}: ${url}`;
}
