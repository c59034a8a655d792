/**
 * What the tabs of one origin say to each other about their one connection. All of it is plain data, as structured cloning wants it.
 *
 * A tab says the whole of what it wants each time (`interest`), so that a leader that has just begun, or has missed something, needs no
 * history of wishes. A leader numbers what it says from 1 in each of its terms; who sees a number missing has missed something.
 */
import type { StreamErrorInfo, StreamStateInfo } from "./stream-event.js";

/** One stream of the server: that of named tasks, or that of a batch. */
export type FeedKey = "tasks" | `batch:${string}`;

export interface FeedInterest {
  readonly feed: FeedKey;
  /** The tasks watched here; none for a batch, which brings all of its own. */
  readonly ids: readonly string[];
  /** A watch here does not hear the feed yet, or has lost it. */
  readonly unmet: boolean;
  /** The oldest cursor that an unmet watch goes on from; empty when all of them begin anew. */
  readonly after: string;
}

export interface InterestMessage {
  readonly kind: "interest";
  readonly from: string;
  /** Whom it follows, and the last number heard of that leader. */
  readonly leader: string | null;
  readonly seen: number;
  readonly feeds: readonly FeedInterest[];
}

/** `ask`: is the leader alive? `bye`: wants nothing any more. */
export type TabMessage = InterestMessage | { readonly kind: "ask" | "bye"; readonly from: string };

/** A `connected` of the upstream. */
export interface OpenedBody {
  readonly kind: "opened";
  readonly feed: FeedKey;
  /** What the upstream was asked for. */
  readonly ids: readonly string[];
  /** The cursor that it was asked to go on from; empty for none. */
  readonly asked: string;
  /** The cursor that it goes on from. */
  readonly cursor: string;
  readonly data: string;
}

/** Any other event of the upstream. */
export interface EventBody {
  readonly kind: "event";
  readonly feed: FeedKey;
  readonly type: string;
  readonly data: string;
  /** Its own id; empty when it has none. */
  readonly id: string;
  /** Null when it speaks of no task in particular. */
  readonly taskId: string | null;
}

/** The upstream is over: refused, or with nothing more to say to who has heard everything up to `cursor`. */
export interface EndBody {
  readonly kind: "end";
  readonly feed: FeedKey;
  readonly ids: readonly string[];
  readonly cursor: string;
  readonly error: StreamErrorInfo | null;
}

export interface StateBody {
  readonly kind: "state";
  readonly feed: FeedKey;
  readonly info: StreamStateInfo;
}

/** What a feed says. */
export type FeedBody = OpenedBody | EventBody | EndBody | StateBody;

/** `lead`: leads from now on. `here`: the answer to `ask`. `roll`: who is still there? `gone`: leads no more. */
export type LeadBody = FeedBody | { readonly kind: "lead" | "here" | "roll" | "gone" };

export type LeadMessage = LeadBody & {
  /** Of the term, not of the tab: who leads twice has two. */
  readonly leader: string;
  readonly number: number;
};

export type ChannelMessage = TabMessage | LeadMessage;
