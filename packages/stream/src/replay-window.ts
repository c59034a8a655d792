/**
 * The newest milestones of one process, held in memory within a number and a weight: what a reader that comes back is sent.
 *
 * Positions are whole numbers from 1 on, without a hole, so a position is found without a search.
 * Called by: `Channel`. Refuses: to outlive the process; a store does that, behind the same gate.
 */
import type { HistoryMark, HistoryPage } from "./gate.js";
import type { Milestone } from "./record.js";

// Small enough that a reader that has gone costs little, large enough that a page is not a promise for each event.
const PAGE_EVENTS = 128;

export class ReplayWindow {
  readonly #maxEvents: number;
  readonly #maxBytes: number;
  #held: Milestone[] = [];
  /** Events at the front of `#held` that were let go; the array is cut when they are the half of it. */
  #gone = 0;
  #bytes = 0;
  #newest = 0;
  #trimmed: HistoryMark | undefined;

  constructor(bounds: { readonly maxEvents: number; readonly maxBytes: number }) {
    this.#maxEvents = bounds.maxEvents;
    this.#maxBytes = bounds.maxBytes;
  }

  /** Position of the newest milestone; 0 before the first. */
  get newest(): number {
    return this.#newest;
  }

  /** Position of the newest milestone that is no longer held; 0 while all are. */
  get trimmed(): number {
    return this.#newest - (this.#held.length - this.#gone);
  }

  /** Bytes of the frames held. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the milestone at `newest + 1` and lets go of the oldest ones past the bounds. */
  append(event: Milestone): void {
    if (event.position !== this.#newest + 1) {
      throw new RangeError(
        `milestones are appended in order: got ${event.position}, bound ${this.#newest + 1}`,
      );
    }
    this.#newest = event.position;
    this.#held.push(event);
    this.#bytes += event.frame.byteLength;
    while (this.#held.length - this.#gone > this.#maxEvents || this.#bytes > this.#maxBytes) {
      const oldest = this.#held[this.#gone];
      if (oldest === undefined) break;
      this.#bytes -= oldest.frame.byteLength;
      this.#trimmed = { cursor: oldest.cursor, position: oldest.position };
      this.#gone += 1;
    }
    if (this.#gone * 2 > this.#held.length) {
      this.#held = this.#held.slice(this.#gone);
      this.#gone = 0;
    }
  }

  /** The oldest milestones above `after` that are held, a page of them. */
  page(after: number): HistoryPage {
    const first = this.#gone + Math.max(0, after - this.trimmed);
    const milestones = this.#held.slice(first, first + PAGE_EVENTS);
    return { milestones, done: first + milestones.length >= this.#held.length, trimmed: this.#trimmed };
  }
}
