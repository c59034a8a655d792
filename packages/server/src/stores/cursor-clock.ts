/**
 * Hands out positions and cursors in one total order, and finds a cursor's position again.
 *
 * Positions are reserved in blocks, and a block is synced before its first position is used. After a crash the counter goes
 * on behind the last block, so no position can be used twice, whatever the disk had lost. The positions skipped are a
 * hole: a cursor that names one was never committed, or its commit was lost with the power, and is not ours any more.
 * [wire: cursor-order]
 */
import { formatCursor, parseCursor, type Cursor } from "@holdfast/protocol";
import type { Mark } from "./store.js";

/** What is kept in the store. */
export interface ClockState {
  readonly newest: number;
  readonly newestMs: number;
  /** Everything at or below may have been used. */
  readonly reserved: number;
  /** Exclusive on both sides. */
  readonly holes: readonly (readonly [number, number])[];
}

// One sync for 10,000 milestones; a crash skips at most as many of 10^15 positions.
const BLOCK = 10_000;
// Holes older than these belong to cursors that no client can still hold.
const MAX_HOLES = 1_000;

export class CursorClock {
  readonly epoch: string;
  readonly #now: () => number;
  #position: number;
  #ms: number;
  #newest: Mark;
  #reserved: number;
  readonly #holes: (readonly [number, number])[];

  constructor(epoch: string, state: ClockState, now: () => number) {
    this.epoch = epoch;
    this.#now = now;
    this.#ms = state.newestMs;
    this.#position = Math.max(state.newest, state.reserved);
    this.#reserved = this.#position;
    this.#holes = [...state.holes];
    if (this.#position > state.newest) this.#holes.push([state.newest, this.#position + 1]);
    this.#holes.splice(0, Math.max(0, this.#holes.length - MAX_HOLES));
    this.#newest = this.#mark(state.newest, state.newestMs);
  }

  get newest(): Mark {
    return this.#newest;
  }

  get holes(): readonly (readonly [number, number])[] {
    return this.#holes;
  }

  /** Whether a block must be reserved, and synced, before `count` more positions are drawn. */
  needsBlock(count: number): boolean {
    return this.#position + count > this.#reserved;
  }

  /** The bound to store; call `reserved` once it is. */
  nextBlock(count: number): number {
    return this.#position + count + BLOCK;
  }

  reserve(bound: number): void {
    this.#reserved = bound;
  }

  /** [wire: cursor-time] The time in a cursor never goes back, also when the clock does. */
  draw(): Mark {
    this.#ms = Math.max(this.#ms, this.#now());
    this.#position += 1;
    return this.#mark(this.#position, this.#ms);
  }

  committed({ cursor, position }: Mark): void {
    this.#newest = { cursor, position };
  }

  locate(cursor: string): number | undefined {
    const parts = parseCursor(cursor);
    if (parts === undefined || parts.epoch !== this.epoch || parts.sequence > this.#newest.position)
      return undefined;
    const { sequence } = parts;
    return this.#holes.some(([from, to]) => sequence > from && sequence < to) ? undefined : sequence;
  }

  /** The cursor of a position drawn at that time. */
  at(position: number, ms: number): Cursor {
    return formatCursor({ epoch: this.epoch, ms, sequence: position });
  }

  #mark(position: number, ms: number): Mark {
    return { cursor: this.at(position, ms), position };
  }
}
