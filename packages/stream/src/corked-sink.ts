/**
 * A sink that can hold several writes back and pass them on as one: what a batch of events costs is then one write a connection.
 *
 * Promises: order; what is held back counts as queued; no more than `BATCH_BYTES` are held, so that a batch larger than what a
 * session may queue does not make every reader look slow.
 * Called by: `Channel`. Refuses: to hold anything back beyond the turn, which is its caller's to see to.
 */
import type { Sink } from "./sink.js";

// As much as a kernel takes at once from a reader that keeps up; Node's own streams are full at the same mark.
const BATCH_BYTES = 16_384;

export class CorkedSink implements Sink {
  readonly #sink: Sink;
  readonly #drains: (() => void)[] = [];
  #corked = false;
  #held: Uint8Array[] = [];
  #heldBytes = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
    sink.onDrain(() => this.#drained());
  }

  get queuedBytes(): number {
    return this.#heldBytes + this.#sink.queuedBytes;
  }

  /** From now on writes are held back, until `uncork`. */
  cork(): void {
    this.#corked = true;
  }

  /** Passes on what was held back. */
  uncork(): void {
    this.#corked = false;
    if (this.#heldBytes === 0) return;
    this.#passOn();
    this.#drained();
  }

  write(bytes: Uint8Array): void {
    if (!this.#corked) return this.#sink.write(bytes);
    this.#held.push(bytes);
    this.#heldBytes += bytes.byteLength;
    if (this.#heldBytes >= BATCH_BYTES) this.#passOn();
  }

  end(): void {
    this.#passOn();
    this.#sink.end();
  }

  destroy(): void {
    this.#held = [];
    this.#heldBytes = 0;
    this.#sink.destroy();
  }

  onDrain(listener: () => void): void {
    this.#drains.push(listener);
  }

  onClose(listener: Parameters<Sink["onClose"]>[0]): void {
    this.#sink.onClose(listener);
  }

  #passOn(): void {
    const held = this.#held;
    const whole = new Uint8Array(this.#heldBytes);
    this.#held = [];
    this.#heldBytes = 0;
    let offset = 0;
    for (const bytes of held) {
      whole.set(bytes, offset);
      offset += bytes.byteLength;
    }
    if (offset > 0) this.#sink.write(whole);
  }

  #drained(): void {
    if (this.queuedBytes === 0) for (const listener of this.#drains) listener();
  }
}
