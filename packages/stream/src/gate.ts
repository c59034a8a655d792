/**
 * From history to live, without a hole and without an overlap.
 *
 * The gate listens to the live edge from its first moment. While it reads history page by page, as fast as its reader
 * takes it, live milestones wait in a buffer with a bound; past the bound the buffer is thrown away, since all of it can
 * be read from the store again. When a page says that it was the last and nothing was thrown away, what waits and is
 * newer than the last one sent goes out, and in the same turn of the event loop the gate is live.
 *
 * Should history be trimmed while it is read, the caller says what the reader is told of it in its place; where it has nothing to
 * say, the stream ends rather than leave out a milestone in silence.
 *
 * [wire: milestone-once] Every milestone after `after` is passed on once, in order: one at or below the last position sent is dropped.
 * Called by: the door that opens streams. Refuses: to know where history comes from.
 */
import type { Listener } from "./hub.js";
import type { Latest, Milestone } from "./record.js";
import type { Session } from "./session.js";

/** A page of history in order. `done`: nothing newer was stored when it was read. */
export interface HistoryPage {
  readonly milestones: readonly Milestone[];
  readonly done: boolean;
  /** The newest milestone that was no longer held when the page was read; undefined when all were. */
  readonly trimmed: HistoryMark | undefined;
}

/** The place of a milestone, held or not. */
export interface HistoryMark {
  readonly cursor: string;
  readonly position: number;
}

/** Milestones that a reader will never get. */
export interface Lost {
  /** The newest of them. */
  readonly mark: HistoryMark;
  /** Nothing that is held lies before it: a reader who was told of it goes on from there. */
  readonly passed: boolean;
}

/** Frames in the place of what is lost. */
export interface LostTold {
  readonly gap: Uint8Array;
  /** What the reader needs beside it, pulled as it reads. */
  readonly snapshots: Iterable<Uint8Array>;
}

export interface GateOptions {
  readonly session: Session;
  /** Position of the newest milestone the reader has; everything above it is sent. */
  readonly after: number;
  /** Frames to send before history, pulled as the reader reads; undefined when there are none. */
  readonly preamble?: Iterable<Uint8Array> | undefined;
  readonly readHistory: (after: number) => Promise<HistoryPage>;
  /** The reader has been told that history up to here is not whole, or has a snapshot that stands for it. */
  readonly accountedFor?: number | undefined;
  /**
   * What to tell the reader when more than that has gone while history was read; undefined when nothing can stand for what is lost:
   * the stream then ends, and the reader comes back with its cursor.
   */
  readonly tellLost?: ((lost: Lost) => Promise<LostTold | undefined>) | undefined;
  /** True when the caller knows, in this very turn, that nothing is stored above `after`: spares a read. */
  readonly upToDate?: boolean | undefined;
  /** What this reader is sent in a milestone's place, or nothing; either way it counts as having it. The milestone itself unless given. */
  readonly forReader?: ((event: Milestone) => Milestone | undefined) | undefined;
  /** Called before a milestone is handed to the session: the place to introduce its topic. */
  readonly onSend?: ((event: Milestone) => void) | undefined;
  /** Called after a milestone was handed to the session, in history as live. */
  readonly onSent?: ((event: Milestone) => void) | undefined;
  /** Called once, when history has been sent. */
  readonly onLive?: (() => void) | undefined;
}

// Live milestones that may wait during one read of history; 64 KiB is a page of them.
const WAITING_BYTES = 65_536;

/** What a reader at the position lacks of a page of what follows it; undefined when nothing. */
export function toLost(
  page: {
    readonly milestones: readonly { readonly position: number }[];
    readonly trimmed: HistoryMark | undefined;
  },
  position: number,
): Lost | undefined {
  const { milestones, trimmed: mark } = page;
  if (mark === undefined || mark.position <= position) return undefined;
  const [next] = milestones;
  return { mark, passed: next === undefined || next.position > mark.position };
}

/** A live milestone, and the state of its topic that was newest when it came. */
interface Waiting {
  readonly before: Latest | undefined;
  readonly event: Milestone;
}

export class Gate implements Listener {
  readonly #options: GateOptions;
  readonly #newest = new Map<string, Latest>();
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #overflowed = false;
  #live = false;
  #position: number;
  #accountedFor: number;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#position = options.after;
    this.#accountedFor = options.accountedFor ?? 0;
  }

  /** Sends preamble and history, then goes live. Call after subscribing. Rejects when history can't be read. */
  async open(): Promise<void> {
    const { session, preamble, readHistory } = this.#options;
    if (preamble !== undefined) await this.#pull(preamble);
    let behind = this.#options.upToDate !== true;
    while (session.open && (behind || this.#overflowed)) {
      this.#forgetWaiting();
      // oxlint-disable-next-line no-await-in-loop -- pages are in order
      const page = await readHistory(this.#position);
      const lost = this.#unaccounted(page);
      // oxlint-disable-next-line no-await-in-loop -- likewise
      if (lost !== undefined && !(await this.#tell(lost))) {
        // History was let go of faster than this reader took it. It comes back with its cursor, and is told of the gap.
        session.end("slow-consumer");
        return;
      }
      for (const event of page.milestones) {
        // oxlint-disable-next-line no-await-in-loop -- as its reader takes it: a page of large events is more than a session may hold
        if (!session.hasRoomFor(event.frame.byteLength)) await session.writable();
        this.#send(event);
      }
      behind = !page.done;
      // oxlint-disable-next-line no-await-in-loop -- likewise
      await session.writable();
    }
    if (!session.open) return;
    for (const { before, event } of this.#waiting) {
      if (event.position <= this.#position) continue; // history had it, and the state before it is older than what was sent
      if (before !== undefined) session.latest(before);
      this.#send(event);
    }
    this.#forgetWaiting();
    this.#live = true;
    for (const value of this.#newest.values()) session.latest(value);
    this.#newest.clear();
    this.#options.onLive?.();
  }

  milestone(event: Milestone): void {
    if (this.#live) {
      this.#send(event);
      return;
    }
    const before = this.#newest.get(event.topic);
    this.#newest.delete(event.topic);
    this.#waitingBytes += event.frame.byteLength + (before?.frame.byteLength ?? 0);
    if (this.#waitingBytes > WAITING_BYTES) {
      this.#overflowed = true;
      this.#waiting = [];
    } else if (!this.#overflowed) {
      this.#waiting.push({ before, event });
    }
  }

  latest(value: Latest): void {
    if (this.#live) this.#options.session.latest(value);
    else this.#newest.set(value.topic, value);
  }

  async #pull(frames: Iterable<Uint8Array>): Promise<void> {
    const { session } = this.#options;
    for (const frame of frames) {
      if (!session.open) return;
      session.write(frame);
      // oxlint-disable-next-line no-await-in-loop -- pulled as the reader reads: that is the bound
      if (session.queuedBytes > 0) await session.writable();
    }
  }

  /** Its reader comes back with its cursor. */
  failed(): void {
    this.#options.session.close("error");
  }

  /** What has gone without the reader's knowing. */
  #unaccounted(page: HistoryPage): Lost | undefined {
    const lost = toLost(page, this.#position);
    return lost !== undefined && lost.mark.position > this.#accountedFor ? lost : undefined;
  }

  /** Whether there was something to tell. */
  async #tell(lost: Lost): Promise<boolean> {
    const told = await this.#options.tellLost?.(lost);
    if (told === undefined) return false;
    this.#accountedFor = lost.mark.position;
    if (lost.passed) this.#position = lost.mark.position;
    this.#options.session.write(told.gap, lost.passed ? lost.mark.cursor : undefined);
    await this.#pull(told.snapshots);
    return true;
  }

  #send(event: Milestone): void {
    if (event.position <= this.#position || !this.#options.session.open) return;
    const { session, forReader, onSend, onSent } = this.#options;
    const sent = forReader === undefined ? event : forReader(event);
    this.#position = event.position;
    if (sent === undefined) return;
    onSend?.(sent);
    session.milestone(sent);
    onSent?.(sent);
  }

  #forgetWaiting(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#overflowed = false;
  }
}
