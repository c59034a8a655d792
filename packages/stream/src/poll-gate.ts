/**
 * A gate whose connection ends as soon as it has something to say: the poll, for ways that hold a response back until its end.
 *
 * It is the gate of a stream, so what is sent, and in which order, is the same; only the end is decided here.
 * - A milestone ends it, in the same turn of the event loop, so that what is committed together is told together.
 * - A latest value ends it no sooner than one progress interval after it began: a reader that asks again at once asks
 *   four times a second, not as often as a task moves.
 * - `waitMs` ends it; so does `maxPageBytes` of milestones, or a queue at its bound: the reader goes on from its cursor.
 * Before the end it sends what is held back, then the caller's `last` frame.
 * Refuses: to know cursors or what "changed" means. Called by: the door that opens streams.
 */
import { Gate, type GateOptions } from "./gate.js";
import type { Listener } from "./hub.js";
import type { Latest, Milestone } from "./record.js";

export interface PollGateOptions extends GateOptions {
  readonly waitMs: number;
  /** Answers as soon as history is sent: the reader knows nothing yet. */
  readonly atOnce: boolean;
  /** The reader has not seen the newest latest values: they end it like new ones. */
  readonly changed: boolean;
  readonly progressIntervalMs: number;
  /** Bytes of milestones after which the rest is left for the next poll. */
  readonly maxPageBytes: number;
  /** What the reader will have seen when this response has ended: read when the end begins. */
  readonly revision: () => string;
  /** Makes the frame that closes the response; without a revision where not all of that state has been shown. */
  readonly last: (revision: string | undefined) => Uint8Array;
  /** What failed while the end was being made; the session is closed then. */
  readonly onError: (error: unknown) => void;
}

export class PollGate implements Listener {
  readonly #options: PollGateOptions;
  readonly #gate: Gate;
  #live = false;
  #due: boolean;
  #changed: boolean;
  #intervalOver = false;
  #milestones = 0;
  #bytes = 0;
  #answering = false;

  constructor(options: PollGateOptions) {
    this.#options = options;
    this.#due = options.atOnce;
    this.#changed = options.changed;
    this.#gate = new Gate({
      ...options,
      onSent: (event) => {
        options.onSent?.(event);
        this.#sent(event);
      },
      onLive: () => {
        options.onLive?.();
        this.#live = true;
        this.#check();
      },
    });
  }

  /** Like the gate's. */
  async open(): Promise<void> {
    const { session, waitMs, progressIntervalMs } = this.#options;
    session.after(waitMs, () => {
      this.#due = true;
      this.#check();
    });
    session.after(progressIntervalMs, () => {
      this.#intervalOver = true;
      this.#check();
    });
    await this.#gate.open();
  }

  milestone(event: Milestone): void {
    this.#gate.milestone(event);
  }

  latest(value: Latest): void {
    this.#changed = true;
    this.#gate.latest(value);
    this.#check();
  }

  failed(): void {
    this.#gate.failed();
  }

  /** The queue is at its bound: what was not written is left for the next poll. */
  full(): void {
    this.#answer();
  }

  #sent(event: Milestone): void {
    this.#milestones += 1;
    this.#bytes += event.frame.byteLength;
    if (this.#bytes >= this.#options.maxPageBytes) {
      this.#options.session.seal();
      this.#answer();
    } else this.#check();
  }

  #check(): void {
    // Before it is live there is history to send, which is what the reader waits for.
    if (!this.#live || this.#answering) return;
    if (this.#due || this.#milestones > 0 || (this.#changed && this.#intervalOver)) {
      // In a microtask: the state that a milestone brought with it is published right behind it.
      queueMicrotask(() => this.#answer());
    }
  }

  #answer(): void {
    if (this.#answering) return;
    this.#answering = true;
    this.#finish().catch((error: unknown) => {
      this.#options.onError(error);
      this.#options.session.close("error");
    });
  }

  async #finish(): Promise<void> {
    const { session, revision, last } = this.#options;
    // Read first: what changes while the reader takes the rest may be missing from it, and is told by the next poll.
    const shown = revision();
    await session.flush();
    await session.writable();
    // Sealed: what was held back, or was to follow history, did not go out.
    session.write(last(session.open ? shown : undefined));
    session.end("answered");
  }
}
