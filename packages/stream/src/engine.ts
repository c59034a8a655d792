/**
 * The engine: every open stream of a process, with its heartbeat, its age and its end.
 *
 * Promises: a stream begins with the caller's first frame, beats on schedule whatever else is sent (phases spread over
 * the interval, so that ten thousand streams opened at once do not beat at once), ends with `drain` when it is too old
 * or the server goes away, and leaves nothing behind: no timer, no subscription.
 * Refuses: to know tasks, stores or hosts. What is in a frame is the caller's; only `drain` and `retry:` are its own.
 */
import { encodeFrame } from "./codec.js";
import { Hub } from "./hub.js";
import { toFrameBytes } from "./record.js";
import { Session, type CloseReason, type SessionReport } from "./session.js";
import type { Sink } from "./sink.js";
import { systemClock, TimerWheel, type Clock } from "./timer-wheel.js";

// What a process takes to end and the next to start. Who came back sooner would find nobody, and five thousand who ask again and again
// make that start slower: measured by `npm run drain`.
const RESTART_MS = 2_000;

export interface EngineOptions {
  readonly heartbeatMs: number;
  readonly progressIntervalMs: number;
  /** Bytes above the kernel's buffers at which a reader of milestones is closed. */
  readonly maxQueueBytes: number;
  /** A stream older than this ends with `drain`; each draws up to a tenth less, so that they don't end together. */
  readonly maxStreamAgeMs: number;
  /** What clients are told in `drain` when one stream ends of age: the time until they come back. */
  readonly reconnectMs: number;
  readonly onError: (error: unknown) => void;
  readonly clock?: Clock;
  /** 0 ≤ x < 1. */
  readonly random?: () => number;
}

export interface StreamOptions {
  readonly sink: Sink;
  /** Written at once, with the head. */
  readonly first: Uint8Array;
  /** The cursor in `first`. */
  readonly cursor: string;
  /** Makes the heartbeat's frame at the moment it is written. */
  readonly heartbeat: (session: Session) => Uint8Array;
  /** See SessionOptions. */
  readonly latestAfterMs?: number | undefined;
  /** See SessionOptions. */
  readonly onFull?: (() => void) | undefined;
  readonly onClose?: (report: SessionReport) => void;
}

export interface EngineStats {
  readonly sessions: number;
  readonly channels: number;
  readonly timers: number;
}

/** Bytes that streams hold above the kernel's buffers. */
export interface EngineQueue {
  readonly bytes: number;
  /** Of the one that holds most: what `maxQueueBytes` bounds. */
  readonly mostBytes: number;
}

export class StreamEngine {
  readonly hub: Hub;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #wheel: TimerWheel;
  readonly #sessions = new Set<Session>();
  readonly #idle: (() => void)[] = [];
  /** Once the server goes away: the window it gave its clients. */
  #drainWindowMs: number | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#wheel = new TimerWheel(this.#clock, options.onError);
    this.hub = new Hub(options.onError);
  }

  get stats(): EngineStats {
    return { sessions: this.#sessions.size, channels: this.hub.size, timers: this.#wheel.size };
  }

  /** A walk over all sessions, so for who looks now and then. */
  get queue(): EngineQueue {
    let bytes = 0;
    let mostBytes = 0;
    for (const { queuedBytes } of this.#sessions) {
      bytes += queuedBytes;
      mostBytes = Math.max(mostBytes, queuedBytes);
    }
    return { bytes, mostBytes };
  }

  /** Starts a stream on a response nothing was written to; one that is opened after a drain began is sent away at once. */
  open(stream: StreamOptions): Session {
    const session = new Session({
      sink: stream.sink,
      wheel: this.#wheel,
      clock: this.#clock,
      progressIntervalMs: this.#options.progressIntervalMs,
      maxQueueBytes: this.#options.maxQueueBytes,
      cursor: stream.cursor,
      latestAfterMs: stream.latestAfterMs,
      onFull: stream.onFull,
      onClose: (report) => {
        this.#sessions.delete(session);
        stream.onClose?.(report);
        if (this.#sessions.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
      },
    });
    this.#sessions.add(session);
    session.write(stream.first);
    if (this.#drainWindowMs !== undefined) {
      this.#sendAway(session, "drain", this.#drawReturnMs(this.#drainWindowMs));
      return session;
    }
    this.#beat(session, stream.heartbeat);
    const ageMs = this.#options.maxStreamAgeMs * (1 - this.#random() / 10);
    session.after(ageMs, () => this.#sendAway(session, "max-age", this.#options.reconnectMs));
    return session;
  }

  /**
   * Tells every client when to come back, spread evenly over the window without what a restart takes, and ends its stream cleanly.
   * Resolves when all have closed; each within the session's grace.
   */
  async drain(windowMs: number): Promise<void> {
    this.#drainWindowMs = windowMs;
    for (const session of this.#sessions) {
      this.#sendAway(session, "drain", this.#drawReturnMs(windowMs));
    }
    if (this.#sessions.size > 0) await new Promise<void>((resolve) => void this.#idle.push(resolve));
  }

  #drawReturnMs(windowMs: number): number {
    const soonestMs = Math.min(RESTART_MS, windowMs / 2);
    return Math.round(soonestMs + this.#random() * (windowMs - soonestMs));
  }

  #sendAway(session: Session, reason: CloseReason, reconnectInMs: number): void {
    // `retry:` says the same to a native EventSource, which hears no `drain`.
    const data = JSON.stringify({ reconnectInMs });
    session.write(toFrameBytes(encodeFrame({ retry: reconnectInMs, event: "drain", data })));
    session.end(reason);
  }

  #beat(session: Session, heartbeat: (session: Session) => Uint8Array): void {
    const { heartbeatMs } = this.#options;
    // Steps from the schedule, not from when the last one ran: lateness does not add up.
    let dueMs = this.#clock.now() + heartbeatMs * (1 - this.#random());
    const beat = (): void => {
      // To a reader that does not read, another heartbeat would only be another byte to hold.
      if (session.queuedBytes === 0) session.write(heartbeat(session));
      const nowMs = this.#clock.now();
      while (dueMs <= nowMs) dueMs += heartbeatMs;
      session.after(dueMs - nowMs, beat);
    };
    session.after(dueMs - this.#clock.now(), beat);
  }
}
