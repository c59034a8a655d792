/**
 * One tab among those that share: its watches, whom it follows, and the lead while it has it.
 *
 * It promises that each of its watches hears its feed without a hole (feed-reader.ts says how), whoever leads; that after `close`
 * nothing is open, held or called; and that a tab which the browser puts to rest (frozen, or kept for the back button) lets go of
 * everything before, and goes on where it was after. Where there are no locks or no channel it leads alone.
 *
 * What it relies on: a channel brings what one tab says in the order said, or tells by a missing number that it did not.
 * Called by shared.ts.
 */
import { olderOf } from "./cursor-order.js";
import type { Environment } from "./environment.js";
import type { OpenUpstream } from "./shared-feed.js";
import { SharedSource, type SharedSourceOptions } from "./shared-source.js";
import type { StreamStateInfo } from "./stream-event.js";
import { TabLead } from "./tab-lead.js";
import { TabLeadership, type TabLocks } from "./tab-leadership.js";
import type { ChannelMessage, FeedInterest, FeedKey, LeadMessage, TabMessage } from "./tab-message.js";

export interface TabChannel {
  post(message: ChannelMessage): void;
  close(): void;
}

/** What of the browser is used; tests bring their own. */
export interface TabSurroundings {
  readonly environment: Environment;
  /** Undefined where tabs can't find each other. */
  readonly locks: TabLocks | undefined;
  readonly openChannel: ((name: string, hear: (message: ChannelMessage) => void) => TabChannel) | undefined;
  /** Before the page is frozen or hidden for good, and when it is back. Returns what stops it. */
  readonly listenForRest: (rest: () => void, wake: () => void) => () => void;
}

export interface SharedTabOptions {
  /** Tabs of the same name share. */
  readonly name: string;
  readonly tab: string;
  readonly surroundings: TabSurroundings;
  readonly openUpstream: OpenUpstream;
}

const UNKNOWN: StreamStateInfo = {
  state: "connecting",
  reason: "start",
  attempt: 0,
  nextAttemptAt: null,
  transport: "sse",
  lastByteAgeMs: null,
};

export class SharedTab {
  readonly #options: SharedTabOptions;
  readonly #sources = new Set<SharedSource>();
  readonly #infos = new Map<FeedKey, StreamStateInfo>();
  readonly #channel: TabChannel | undefined;
  readonly #leadership: TabLeadership | undefined;
  readonly #stopListening: () => void;
  #following: { readonly leader: string; number: number } | undefined;
  #lead: TabLead | undefined;
  /** The newest term heard of. */
  #newest = "";
  #telling = false;
  #closed = false;

  constructor(options: SharedTabOptions) {
    this.#options = options;
    const { name, surroundings } = options;
    const { locks, openChannel, environment, listenForRest } = surroundings;
    if (locks !== undefined && openChannel !== undefined) {
      this.#channel = openChannel(name, (message) => this.#hear(message));
      this.#leadership = new TabLeadership({
        locks,
        name,
        tab: options.tab,
        environment,
        sink: {
          leads: () => this.#beginLead(),
          lost: () => this.#endLead(),
          ask: () => this.#post({ kind: "ask", from: options.tab }),
        },
      });
    }
    this.#stopListening = listenForRest(
      () => this.#rest(),
      () => this.#start(),
    );
    this.#start();
  }

  get leading(): boolean {
    return this.#lead !== undefined;
  }

  open(watch: Pick<SharedSourceOptions, "feed" | "view" | "onAny">): SharedSource {
    const source = new SharedSource({
      ...watch,
      info: this.#infos.get(watch.feed) ?? UNKNOWN,
      owner: {
        left: (gone) => {
          this.#sources.delete(gone);
          this.#tellSoon();
        },
      },
    });
    // A tick later, as everything that is told.
    if (this.#closed) queueMicrotask(() => source.abort());
    this.#sources.add(source);
    this.#tellSoon();
    return source;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const source of this.#sources) source.abort();
    this.#stopListening();
    this.#rest();
    this.#channel?.close();
  }

  #start(): void {
    if (this.#leadership !== undefined) this.#leadership.start();
    else if (this.#lead === undefined) this.#beginLead();
    this.#tellSoon();
  }

  #rest(): void {
    this.#post({ kind: "bye", from: this.#options.tab });
    this.#leadership?.rest();
    this.#endLead();
  }

  #beginLead(after = this.#newest): void {
    this.#lead?.close();
    const { tab, openUpstream, surroundings } = this.#options;
    const { environment } = surroundings;
    const leader = toTerm(environment.now(), after, tab);
    this.#newest = leader;
    // Set before its first word is heard here.
    this.#following = { leader, number: 0 };
    this.#lead = new TabLead({
      leader,
      openUpstream,
      environment,
      post: (message) => {
        this.#post(message);
        this.#follow(message);
      },
    });
    this.#tellSoon();
  }

  #endLead(): void {
    const lead = this.#lead;
    this.#lead = undefined;
    lead?.close();
    this.#follow(undefined);
  }

  #post(message: ChannelMessage): void {
    this.#channel?.post(message);
  }

  #hear(message: ChannelMessage): void {
    if (this.#closed) return;
    if ("leader" in message && "number" in message) {
      if (this.#lead === undefined) this.#follow(message);
      // Two took the lock at once: who has kept it must be heard by those that followed the other.
      else if (message.kind === "gone" && message.leader > this.#lead.leader) this.#beginLead(message.leader);
      return;
    }
    const lead = this.#lead;
    if (lead === undefined) {
      if (message.kind === "ask") this.#leadership?.heardAsk(message.from);
      return;
    }
    switch (message.kind) {
      case "interest":
        lead.hear(message);
        return;
      case "ask":
        lead.answer();
        return;
      case "bye":
        lead.forget(message.from);
    }
  }

  /** Undefined: nobody leads as far as is known. */
  #follow(message: LeadMessage | undefined): void {
    if (message === undefined || (message.kind === "gone" && message.leader === this.#following?.leader)) {
      this.#following = undefined;
      this.#lose();
      return;
    }
    const { leader, number, kind } = message;
    const following = this.#following;
    if (following?.leader === leader) {
      if (number !== following.number + 1) {
        this.#lose();
        this.#tellSoon();
      }
      following.number = number;
    } else {
      // What comes late from an older term is no longer true.
      if (leader < this.#newest || kind === "gone") return;
      this.#newest = leader;
      this.#following = { leader, number };
      this.#lose();
      this.#tellSoon();
    }
    this.#leadership?.heard();
    this.#pass(message);
  }

  /** Whatever comes next, something may be missing before it. */
  #lose(): void {
    this.#infos.clear();
    for (const source of this.#sources) {
      source.leave();
      source.stand(UNKNOWN);
    }
  }

  #pass(message: LeadMessage): void {
    if (message.kind === "roll") this.#tellSoon();
    if (!("feed" in message)) return;
    if (message.kind === "state") this.#infos.set(message.feed, message.info);
    if (message.kind === "end") this.#infos.delete(message.feed);
    // A copy: whoever begins anew on hearing of an end must not hear of the same one again.
    for (const source of [...this.#sources].filter(({ feed }) => feed === message.feed)) {
      switch (message.kind) {
        case "opened":
          source.opened(message);
          break;
        case "event":
          source.take(message);
          break;
        case "end":
          source.end(message);
          break;
        case "state":
          source.stand(message.info);
          break;
      }
    }
    if (message.kind === "opened" || message.kind === "end") this.#tellSoon();
  }

  /** Once for whatever one turn brings. */
  #tellSoon(): void {
    if (this.#telling) return;
    this.#telling = true;
    queueMicrotask(() => {
      this.#telling = false;
      if (!this.#closed) this.#tell();
    });
  }

  #tell(): void {
    const following = this.#following;
    const message: TabMessage = {
      kind: "interest",
      from: this.#options.tab,
      leader: following?.leader ?? null,
      seen: following?.number ?? 0,
      feeds: this.#readInterests(),
    };
    if (this.#lead === undefined) this.#post(message);
    else this.#lead.hear(message);
  }

  #readInterests(): FeedInterest[] {
    const interests = new Map<FeedKey, { ids: Set<string>; unmet: boolean; after: string }>();
    for (const { feed, view, joined, after } of this.#sources) {
      const interest = interests.get(feed) ?? { ids: new Set(), unmet: false, after: "" };
      interests.set(feed, interest);
      if (view.kind === "task") interest.ids.add(view.id);
      if (view.kind === "tasks") for (const id of view.ids) interest.ids.add(id);
      if (joined) continue;
      interest.unmet = true;
      interest.after = olderOf(interest.after, after);
    }
    return [...interests].map(([feed, { ids, unmet, after }]) => ({ feed, ids: [...ids], unmet, after }));
  }
}

const TERM_DIGITS = 15;

/** Terms sort as text: by the machine's clock, and above every term heard of, so also when the clock was set back. */
function toTerm(nowMs: number, newest: string, tab: string): string {
  const ms = Math.max(nowMs, Number(newest.slice(0, TERM_DIGITS)) + 1);
  return `${String(ms).padStart(TERM_DIGITS, "0")} ${tab}`;
}
