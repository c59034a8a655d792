/**
 * A channel: events for everybody who listens, with a memory for who comes back.
 *
 * Promises
 * - `publish`: every connection gets every event once and in order, also across reconnects; or a `gap` event that says from
 *   where to where something is missing, when the history is too short or the process is another.
 * - `update`: of a topic's states each connection gets the newest, at most one in `progressIntervalMs`, and late joiners too.
 * - `filter`: an event goes to the connections whose state it takes, and to no other, live or on return; whose it is not, its cursor moves on.
 * - Memory is bounded in bytes: history, states, and what each connection may queue.
 * Refuses: to outlive the process, and to wait for a slow reader, which is closed and resumes. Who needs more stands a store
 * behind `Gate`, of which a channel is the smallest case.
 * Called by: hosts, through `createChannel`.
 */
import { resolveBounds, type ChannelBounds, type ChannelOptions } from "./channel-options.js";
import { encodeComment, encodeFrame } from "./codec.js";
import { CorkedSink } from "./corked-sink.js";
import { StreamEngine } from "./engine.js";
import { Gate } from "./gate.js";
import { Latest, toFrameBytes, type Milestone } from "./record.js";
import { ReplayWindow } from "./replay-window.js";
import type { Session, SessionReport } from "./session.js";
import type { Sink } from "./sink.js";
import { systemClock, type Clock } from "./timer-wheel.js";
import { untilAborted } from "./until-aborted.js";
import { webStream } from "./web-sink.js";

export interface PublishOptions<State = unknown> {
  /** What the event belongs to: a state of the same topic that waits goes out before it. */
  readonly topic?: string;
  /** The topic is over: its state is forgotten. */
  readonly ending?: boolean;
  /**
   * Whether a connection of that state is sent the event; all are unless given. Asked when it is about to be sent, from the history
   * too, and kept as long as the event. One that throws closes the connection it was asked for as `error`.
   */
  readonly filter?: (state: State | undefined) => boolean;
}

export interface ConnectOptions<State = unknown> {
  /** What filters are asked about. Yours to change. */
  readonly state?: State;
  /** Where who brings no cursor begins: with what comes from now on, or with the oldest event held; `now`. */
  readonly begin?: "now" | "oldest";
  /** Instead of the request's `Last-Event-ID`; an empty one is none. */
  readonly lastEventId?: string;
  /** Besides `Content-Type`, `Cache-Control` and `X-Accel-Buffering`; these win. */
  readonly headers?: { readonly [name: string]: string };
  readonly onClose?: (report: SessionReport) => void;
}

/** One connection of a channel. */
export interface Connection<State = unknown> {
  /** As given. */
  readonly state: State | undefined;
  /** Whether it still takes events. */
  readonly open: boolean;
  /** Sends an event to this connection alone. It has no cursor: a reader that comes back does not get it again. */
  send(event: string, data: unknown): void;
  /** Ends the response cleanly. A browser's EventSource comes back after `reconnectMs` unless it is answered 204. */
  close(): void;
}

const EVERYBODY: readonly string[] = ["events"];
// A cursor of ours is far shorter; what a client sent is repeated to it no further than this.
const MAX_CURSOR_LENGTH = 128;
// As much is published of an iterable in one turn before sockets get theirs: a quarter of what a connection may queue.
const TURN_SHARE = 4;

export class Channel<State = unknown> {
  readonly #bounds: ChannelBounds;
  readonly #serialize: (data: unknown) => unknown;
  readonly #clock: Clock;
  readonly #engine: StreamEngine;
  readonly #history: ReplayWindow;
  readonly #epoch: string;
  readonly #states = new Map<string, Latest>();
  readonly #sinks = new Set<CorkedSink>();
  readonly #onError: (error: unknown) => void;
  /** Gone with the events they belong to. */
  readonly #filters = new WeakMap<Milestone, (state: State | undefined) => boolean>();
  readonly #outbox: (() => void)[] = [];
  #stateBytes = 0;
  #revision = 0;
  #batches = 0;
  readonly #leaving = new AbortController();

  constructor(options: ChannelOptions = {}) {
    this.#bounds = resolveBounds(options);
    this.#serialize = options.serialize ?? JSON.stringify;
    this.#clock = options.clock ?? systemClock;
    this.#onError = options.onError ?? throwLater;
    this.#epoch = options.epoch ?? crypto.randomUUID().slice(0, 8);
    this.#history = new ReplayWindow({
      maxEvents: this.#bounds.historyEvents,
      maxBytes: this.#bounds.historyBytes,
    });
    this.#engine = new StreamEngine({
      ...this.#bounds,
      clock: this.#clock,
      onError: this.#onError,
      ...(options.random && { random: options.random }),
    });
  }

  /** Connections that are open. */
  get size(): number {
    return this.#sinks.size;
  }

  /** Cursor of the newest event: what a snapshot read elsewhere in this turn is as new as. */
  get cursor(): string {
    return this.#cursorAt(this.#history.newest);
  }

  /** Sends an event to everybody, and keeps it for who comes back. Returns its cursor. Throws RangeError when it is too large. */
  publish(event: string, data: unknown, options: PublishOptions<State> = {}): string {
    return this.#publish(event, data, options).cursor;
  }

  /** Sets the state of a topic; each reader gets the newest, not every one. Throws RangeError when all states are too large. */
  update(topic: string, event: string, data: unknown): void {
    const frame = this.#encode(event, data);
    const bytes = this.#stateBytes - this.#weigh(topic) + topic.length + frame.byteLength;
    if (bytes > this.#bounds.stateBytes) {
      throw new RangeError(
        `states exceed stateBytes: got ${bytes} B in ${this.#states.size} topics, bound ${this.#bounds.stateBytes} B; ` +
          "end the topics that are over, or raise stateBytes",
      );
    }
    this.#stateBytes = bytes;
    this.#revision += 1;
    const value = new Latest(topic, this.#revision, () => frame);
    this.#states.set(topic, value);
    this.#sendOut(() => this.#engine.hub.publishLatest(EVERYBODY, value));
  }

  /** What is published and updated before `run` returns goes out in as few writes as possible. Not for what takes time. */
  batch<T>(run: () => T): T {
    this.#batches += 1;
    if (this.#batches === 1) for (const sink of this.#sinks) sink.cork();
    try {
      return run();
    } finally {
      this.#batches -= 1;
      if (this.#batches === 0) for (const sink of this.#sinks) sink.uncork();
    }
  }

  /**
   * Publishes each value of an iterable as an event of that name, until it ends, the signal aborts or the channel drains.
   * Resolves to the number of values published. Rejects with what the iterable throws.
   */
  async from(
    event: string,
    values: Iterable<unknown> | AsyncIterable<unknown>,
    options: PublishOptions<State> & { readonly signal?: AbortSignal } = {},
  ): Promise<number> {
    const turnBytes = this.#bounds.maxQueueBytes / TURN_SHARE;
    let published = 0;
    let bytes = 0;
    const signals = [this.#leaving.signal, ...(options.signal === undefined ? [] : [options.signal])];
    for await (const value of untilAborted(values, signals)) {
      bytes += this.#publish(event, value, options).frame.byteLength;
      published += 1;
      if (bytes >= turnBytes) {
        // A list that is at hand would otherwise fill every queue before one socket is written to.
        await new Promise<void>((resolve) => void this.#clock.after(0, resolve));
        bytes = 0;
      }
    }
    return published;
  }

  /** Answers a Web request with the stream. */
  respond(request: Request, options: ConnectOptions<State> = {}): Response {
    const { sink, response } = webStream({ headers: eventStreamHeaders(options), signal: request.signal });
    this.attach(sink, { lastEventId: request.headers.get("last-event-id") ?? "", ...options });
    return response;
  }

  /** Streams into a sink of your own; `headers` of the options are its maker's to send. */
  attach(target: Sink, options: ConnectOptions<State> = {}): Connection<State> {
    const sink = new CorkedSink(target);
    const start = this.#start(options);
    let closed = false;
    let unsubscribe: (() => void) | undefined;
    const session = this.#engine.open({
      sink,
      first: start.frame,
      cursor: this.#cursorAt(start.after),
      heartbeat: () => HEARTBEAT,
      onClose: (report) => {
        closed = true;
        unsubscribe?.();
        this.#sinks.delete(sink);
        this.#report(report, options);
      },
    });
    // While draining the engine has sent it away at once. Not 503: a browser's EventSource would never come back.
    if (!closed && session.open) {
      this.#sinks.add(sink);
      if (this.#batches > 0) sink.cork();
      const gate = new Gate({
        session,
        after: start.after,
        upToDate: start.after === this.#history.newest,
        readHistory: (after) => Promise.resolve(this.#history.page(after)),
        forReader: this.#selection(start.after, options.state),
        onLive: () => {
          for (const value of this.#states.values()) session.latest(value);
        },
      });
      unsubscribe = this.#engine.hub.subscribe(EVERYBODY, gate);
      gate.open().catch((error: unknown) => {
        session.close("error");
        this.#onError(error);
      });
    }
    return this.#connection(session, options.state);
  }

  /** Ends every connection, telling each when to come back within the window, and so every new one. Resolves when all have closed. */
  async drain(windowMs = 5_000): Promise<void> {
    this.#leaving.abort();
    await this.#engine.drain(windowMs);
  }

  #publish(
    event: string,
    data: unknown,
    { topic = "", ending = false, filter }: PublishOptions<State>,
  ): Milestone {
    const position = this.#history.newest + 1;
    const cursor = this.#cursorAt(position);
    const frame = this.#encode(event, data, cursor);
    if (frame.byteLength > this.#bounds.historyBytes) {
      throw new RangeError(
        `event exceeds historyBytes: got ${frame.byteLength} B, bound ${this.#bounds.historyBytes} B; send where the data is instead`,
      );
    }
    if (ending) this.#forget(topic);
    const milestone = { topic, position, cursor, frame, ending };
    if (filter !== undefined) this.#filters.set(milestone, filter);
    this.#history.append(milestone); // held first, sent second
    this.#sendOut(() => this.#engine.hub.publishMilestone(EVERYBODY, milestone));
    return milestone;
  }

  /** What an `onClose` publishes waits until everybody has the event that closed it: sent at once it would overtake that event. */
  #sendOut(send: () => void): void {
    this.#outbox.push(send);
    if (this.#outbox.length > 1) return;
    for (let next = this.#outbox[0]; next !== undefined; next = this.#outbox[0]) {
      try {
        next();
      } catch (error) {
        this.#onError(error);
      } finally {
        this.#outbox.shift();
      }
    }
  }

  #report(report: SessionReport, { onClose }: ConnectOptions<State>): void {
    try {
      onClose?.(report);
    } catch (error) {
      // It runs in the midst of an event on its way to everybody, who must not miss it for this.
      this.#onError(error);
    }
  }

  /**
   * What a reader is sent of each event. Of one that is not for it, most often nothing: among ten thousand readers a whisper is one
   * write. But its cursor must not fall out of what is held, or it would come back to a gap in which nothing was for it: when half of
   * that has passed it by, it is sent an id alone, which dispatches nothing. So it is at an ending, before which its state goes out.
   */
  #selection(after: number, state: State | undefined): (event: Milestone) => Milestone | undefined {
    let told = after;
    return (event) => {
      const { position, cursor, ending } = event;
      const addressed = this.#filters.get(event)?.(state) ?? true;
      const held = this.#history.newest - this.#history.trimmed;
      if (!addressed && !ending && (position - told) * 2 < held) return undefined;
      told = position;
      return addressed ? event : { ...event, frame: toFrameBytes(encodeFrame({ id: cursor })) };
    };
  }

  #connection(session: Session, state: State | undefined): Connection<State> {
    return {
      state,
      get open() {
        return session.open;
      },
      send: (event, data) => {
        // As an event of everybody's, so that its bytes are bounded; the position is the gate's and no one reads it here.
        const { cursor } = session;
        session.milestone({
          topic: "",
          position: 0,
          cursor,
          frame: this.#encode(event, data),
          ending: false,
        });
      },
      close: () => session.end("completed"),
    };
  }

  /** Where a reader begins, and what it is told at once. */
  #start({ lastEventId = "", begin = "now" }: ConnectOptions): {
    readonly after: number;
    readonly frame: Uint8Array;
  } {
    const retry = this.#bounds.reconnectMs;
    const { newest, trimmed } = this.#history;
    const known = this.#positionOf(lastEventId);
    const after = lastEventId === "" ? (begin === "now" ? newest : trimmed) : known;
    if (after !== undefined && after >= trimmed) {
      // An id without data dispatches nothing, but is what the reader comes back with, should it go before the first event.
      return { after, frame: toFrameBytes(encodeFrame({ retry, id: this.#cursorAt(after) })) };
    }
    const to = this.#cursorAt(trimmed);
    const data = JSON.stringify({ from: lastEventId.slice(0, MAX_CURSOR_LENGTH), to });
    return { after: trimmed, frame: toFrameBytes(encodeFrame({ retry, id: to, event: "gap", data })) };
  }

  #cursorAt(position: number): string {
    return `${this.#epoch}-${position}`;
  }

  /** Undefined for what this process never said. */
  #positionOf(cursor: string): number | undefined {
    const separator = cursor.lastIndexOf("-");
    const position = Number(cursor.slice(separator + 1));
    // Compared as text, so that one position has one cursor.
    return position <= this.#history.newest && cursor === this.#cursorAt(position) ? position : undefined;
  }

  #encode(event: string, data: unknown, id?: string): Uint8Array {
    const text = this.#serialize(data);
    if (typeof text !== "string") {
      throw new TypeError(
        `data of ${event} can't be serialised: got ${typeof data}, bound what serialize makes a string of`,
      );
    }
    return toFrameBytes(encodeFrame({ event, data: text, ...(id !== undefined && { id }) }));
  }

  /** A topic counts with its name: names made of what users send may be longer than states. */
  #weigh(topic: string): number {
    const state = this.#states.get(topic);
    return state === undefined ? 0 : topic.length + state.frame.byteLength;
  }

  #forget(topic: string): void {
    this.#stateBytes -= this.#weigh(topic);
    this.#states.delete(topic);
  }
}

const HEARTBEAT = toFrameBytes(encodeComment("heartbeat"));

/** Response headers of an event stream. */
export function eventStreamHeaders(options: ConnectOptions): { readonly [name: string]: string } {
  return {
    "Content-Type": "text/event-stream; charset=utf-8",
    // no-transform: a compressing proxy holds events back.
    "Cache-Control": "no-store, no-transform",
    // nginx passes each write on as it comes.
    "X-Accel-Buffering": "no",
    ...options.headers,
  };
}

function throwLater(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
