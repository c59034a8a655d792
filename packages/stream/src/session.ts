/**
 * One connection: what was written on it, what it holds back, and how it ends.
 *
 * Promises
 * - Milestones go out in the order given. A latest value held back for the same topic goes out right before one.
 * - At most one latest value per topic and `progressIntervalMs`, newest wins, save for the rule above.
 * - Memory is bounded: latest values are written only while the queue is empty; a milestone that finds the queue above
 *   `maxQueueBytes` closes the session as `slow-consumer` (or calls `onFull`), and its reader resumes by cursor. Heartbeats
 *   to a reader that does not read are left out.
 * - It closes exactly once, with a reason, and then holds no timer and no listener.
 * Refuses: to retry, to read history (that is the gate's), to know what an event means.
 * Called by: the gate, the engine's drain, the door that opened it.
 */
import type { Latest, Milestone } from "./record.js";
import type { Sink } from "./sink.js";
import type { Clock, TimerWheel, WheelEntry } from "./timer-wheel.js";

/** Why a connection ended. `completed`, `answered`, `drain`, `max-age` and `token-expired` are clean ends. */
export type CloseReason =
  | "completed"
  /** A poll got its answer. */
  | "answered"
  | "drain"
  | "max-age"
  | "peer-gone"
  | "slow-consumer"
  | "token-expired"
  | "error";

export interface SessionReport {
  readonly reason: CloseReason;
  readonly durationMs: number;
  readonly events: number;
  readonly bytes: number;
  /** Whether everything written was handed to the kernel before the end. */
  readonly finished: boolean;
}

export interface SessionOptions {
  readonly sink: Sink;
  readonly wheel: TimerWheel;
  readonly clock: Clock;
  readonly progressIntervalMs: number;
  readonly maxQueueBytes: number;
  /** The cursor that `connected` carries. */
  readonly cursor: string;
  /** Milliseconds during which latest values are held back, so that the first one is the newest of them; 0. */
  readonly latestAfterMs?: number | undefined;
  /** A milestone found the queue at its bound and was not written. Close it as `slow-consumer` unless given. */
  readonly onFull?: (() => void) | undefined;
  readonly onClose: (report: SessionReport) => void;
}

// A peer that does not take the last bytes within this is let go; loopback and LAN need milliseconds, a bad mobile link seconds.
const END_GRACE_MS = 5_000;

// What history may run ahead of the kernel: as much as one write of a corked sink.
const READ_AHEAD_BYTES = 16_384;

interface Topic {
  revision: number;
  nextAtMs: number;
  held: Latest | undefined;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #openedAtMs: number;
  readonly #topics = new Map<string, Topic>();
  readonly #held = new Set<Topic>();
  readonly #timers = new Set<WheelEntry>();
  #state:
    | { kind: "open" }
    | { kind: "sealed" }
    | { kind: "ending"; reason: CloseReason }
    | { kind: "closed" } = { kind: "open" };
  #flushTimer: WheelEntry | undefined;
  #writable: (() => void)[] = [];
  #cursor: string;
  #events = 0;
  #bytes = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#openedAtMs = options.clock.now();
    this.#cursor = options.cursor;
    options.sink.onDrain(() => this.#drained());
    options.sink.onClose(({ finished }) => this.#closed(finished));
  }

  /** The last id written: of a milestone, of a gap, or of `connected`. */
  get cursor(): string {
    return this.#cursor;
  }

  /** Whether it takes milestones and latest values. */
  get open(): boolean {
    return this.#state.kind === "open";
  }

  get queuedBytes(): number {
    return this.#options.sink.queuedBytes;
  }

  /** Whether history may go on with so many bytes: what waits together leaves together, but far from the bound of a slow reader. */
  hasRoomFor(bytes: number): boolean {
    const queued = this.queuedBytes;
    return queued === 0 || queued + bytes <= Math.min(READ_AHEAD_BYTES, this.#options.maxQueueBytes);
  }

  /** Writes a frame that is neither milestone nor latest value: connected, snapshot, gap, heartbeat. `cursor`: the id it carries, if any. */
  write(frame: Uint8Array, cursor?: string): void {
    if (!this.#writes) return;
    if (cursor !== undefined) this.#cursor = cursor;
    this.#events += 1;
    this.#bytes += frame.byteLength;
    this.#options.sink.write(frame);
  }

  milestone(event: Milestone): void {
    if (this.#state.kind !== "open") return;
    const topic = this.#topics.get(event.topic);
    // The reader must have seen the last state before the milestone, or it would see it after.
    if (topic?.held !== undefined) this.#writeLatest(topic, topic.held);
    const queued = this.#options.sink.queuedBytes;
    if (queued > 0 && queued + event.frame.byteLength > this.#options.maxQueueBytes) {
      if (this.#options.onFull === undefined) this.close("slow-consumer");
      else {
        this.seal();
        this.#options.onFull();
      }
      return;
    }
    this.write(event.frame);
    this.#cursor = event.cursor;
    if (event.ending) this.#forget(event.topic);
  }

  latest(value: Latest): void {
    if (this.#state.kind !== "open") return;
    const topic = this.#topic(value.topic);
    if (value.revision <= topic.revision) return;
    topic.revision = value.revision;
    if (this.#options.clock.now() >= topic.nextAtMs && this.#options.sink.queuedBytes === 0) {
      this.#writeLatest(topic, value);
      return;
    }
    topic.held = value;
    this.#held.add(topic);
    this.#flushTimer ??= this.#options.wheel.schedule(topic.nextAtMs, () => this.#flush());
  }

  /** Notes what a snapshot has shown, so that nothing older follows it. */
  shown(topic: string, revision: number): void {
    if (this.#state.kind === "open") this.#topic(topic).revision = revision;
  }

  /** Resolves when the queue is empty or nothing can be written any more. */
  async writable(): Promise<void> {
    if (!this.#writes || this.#options.sink.queuedBytes === 0) return;
    await new Promise<void>((resolve) => void this.#writable.push(resolve));
  }

  /** Writes every latest value that is held back now, as fast as the reader takes them, whatever the interval. */
  async flush(): Promise<void> {
    // What is held back later is not waited for: a slow reader of fast tasks would never be done.
    const held = Array.from(this.#held);
    for (const topic of held) {
      // oxlint-disable-next-line no-await-in-loop -- the next one is written when the last one is out: that is the bound
      if (this.queuedBytes > 0) await this.writable();
      if (!this.open) return;
      if (topic.held !== undefined) this.#writeLatest(topic, topic.held);
    }
  }

  /** Takes no milestone and no latest value from now on; what is written is still sent, and the caller ends it. */
  seal(): void {
    if (this.#state.kind === "open") this.#state = { kind: "sealed" };
  }

  /** Runs once after `delayMs` unless the session closes before. */
  after(delayMs: number, run: () => void): void {
    if (this.#state.kind === "closed") return;
    const entry = this.#options.wheel.schedule(this.#options.clock.now() + delayMs, () => {
      this.#timers.delete(entry);
      run();
    });
    this.#timers.add(entry);
  }

  /** Ends the response cleanly after what is queued; a peer that takes nothing is let go after a grace. */
  end(reason: CloseReason): void {
    if (!this.#writes) return;
    this.#state = { kind: "ending", reason };
    this.#wake();
    this.#options.sink.end();
    this.after(END_GRACE_MS, () => this.#options.sink.destroy());
  }

  /** Lets go at once. */
  close(reason: CloseReason): void {
    if (this.#state.kind === "closed") return;
    if (this.#writes) this.#state = { kind: "ending", reason };
    this.#options.sink.destroy();
  }

  get #writes(): boolean {
    return this.#state.kind === "open" || this.#state.kind === "sealed";
  }

  #topic(name: string): Topic {
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      const { latestAfterMs = 0 } = this.#options;
      // A stream's first value goes out at once, a poll's waits for those that follow it closely.
      const nextAtMs = latestAfterMs === 0 ? 0 : this.#openedAtMs + latestAfterMs;
      topic = { revision: -1, nextAtMs, held: undefined };
      this.#topics.set(name, topic);
    }
    return topic;
  }

  #writeLatest(topic: Topic, value: Latest): void {
    topic.held = undefined;
    this.#held.delete(topic);
    topic.nextAtMs = this.#options.clock.now() + this.#options.progressIntervalMs;
    this.write(value.frame);
  }

  #flush(): void {
    this.#flushTimer = undefined;
    if (this.#state.kind !== "open" || this.#options.sink.queuedBytes > 0) return; // drain flushes
    const nowMs = this.#options.clock.now();
    let nextMs = Infinity;
    for (const topic of this.#held) {
      if (topic.held !== undefined && topic.nextAtMs <= nowMs) this.#writeLatest(topic, topic.held);
      else nextMs = Math.min(nextMs, topic.nextAtMs);
      // The rest waits for the reader: a thousand tasks must not fill the queue of one that has stopped reading.
      if (this.#options.sink.queuedBytes > 0) return;
    }
    if (nextMs < Infinity) this.#flushTimer = this.#options.wheel.schedule(nextMs, () => this.#flush());
  }

  #forget(name: string): void {
    const topic = this.#topics.get(name);
    if (topic === undefined) return;
    this.#held.delete(topic);
    this.#topics.delete(name);
  }

  #drained(): void {
    this.#wake();
    if (this.#flushTimer === undefined && this.#held.size > 0) this.#flush();
  }

  #wake(): void {
    const waiting = this.#writable;
    this.#writable = [];
    for (const resolve of waiting) resolve();
  }

  #closed(finished: boolean): void {
    if (this.#state.kind === "closed") return;
    // Bytes lost on the way out of a clean end mean that the peer had gone, whatever we were about to say.
    const reason: CloseReason = this.#state.kind === "ending" ? this.#state.reason : "peer-gone";
    this.#state = { kind: "closed" };
    this.#wake();
    this.#options.wheel.cancel(this.#flushTimer);
    for (const entry of this.#timers) this.#options.wheel.cancel(entry);
    this.#timers.clear();
    this.#topics.clear();
    this.#held.clear();
    this.#options.onClose({
      reason,
      durationMs: Math.round(this.#options.clock.now() - this.#openedAtMs),
      events: this.#events,
      bytes: this.#bytes,
      finished,
    });
  }
}
