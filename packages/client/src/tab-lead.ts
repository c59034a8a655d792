/**
 * What a tab does while it leads: it knows what every tab wants, keeps one feed for each stream of that, and tells all tabs what comes.
 *
 * It promises that the wishes of a tab that has gone without a word are forgotten after two roll calls, and that what it says is
 * numbered without a hole. It does not know how one comes to lead: tab-leadership.ts does. Called by SharedTab.
 */
import { olderOf } from "./cursor-order.js";
import type { Environment } from "./environment.js";
import { SharedFeed, type OpenUpstream } from "./shared-feed.js";
import type {
  FeedBody,
  FeedInterest,
  FeedKey,
  InterestMessage,
  LeadBody,
  LeadMessage,
} from "./tab-message.js";

export interface TabLeadOptions {
  /** Of this term. */
  readonly leader: string;
  readonly post: (message: LeadMessage) => void;
  readonly openUpstream: OpenUpstream;
  readonly environment: Environment;
}

interface Wish extends FeedInterest {
  /** Unmet although the tab has come to the newest `opened`: only another one can help. */
  readonly urgent: boolean;
}

interface Member {
  readonly wishes: Map<FeedKey, Wish>;
  missedRolls: number;
}

// A crashed tab keeps its tasks watched for two to three of these; a hidden one answers, as messages are not throttled.
const ROLL_MS = 60_000;
const MAX_MISSED_ROLLS = 2;

export class TabLead {
  readonly leader: string;
  readonly #options: TabLeadOptions;
  readonly #members = new Map<string, Member>();
  readonly #feeds = new Map<FeedKey, SharedFeed>();
  /** The number of each feed's newest `opened`. */
  readonly #opened = new Map<FeedKey, number>();
  #number = 0;
  #cancelRoll: () => void;

  constructor(options: TabLeadOptions) {
    this.#options = options;
    this.leader = options.leader;
    this.#cancelRoll = this.#rollLater();
    this.#say({ kind: "lead" });
  }

  close(): void {
    this.#cancelRoll();
    for (const feed of this.#feeds.values()) feed.close();
    this.#feeds.clear();
    this.#say({ kind: "gone" });
  }

  hear({ from, leader, seen, feeds }: InterestMessage): void {
    const before = this.#members.get(from)?.wishes ?? new Map<FeedKey, Wish>();
    const wishes = new Map<FeedKey, Wish>();
    for (const wish of feeds) {
      // Who follows this leader and has not come to the newest `opened` yet speaks again when it does.
      const early = leader === this.leader && seen < (this.#opened.get(wish.feed) ?? 0);
      wishes.set(wish.feed, { ...wish, urgent: wish.unmet && !early });
    }
    if (wishes.size === 0) this.#members.delete(from);
    else this.#members.set(from, { wishes, missedRolls: 0 });
    if (leader === null) this.answer();
    for (const feed of new Set([...before.keys(), ...wishes.keys()])) this.#update(feed);
  }

  /** Also tells who is new how the feeds stand. */
  answer(): void {
    this.#say({ kind: "here" });
    for (const [feed, { info }] of this.#feeds) {
      if (info !== undefined) this.#say({ kind: "state", feed, info });
    }
  }

  forget(tab: string): void {
    const wishes = this.#members.get(tab)?.wishes;
    this.#members.delete(tab);
    for (const feed of wishes?.keys() ?? []) this.#update(feed);
  }

  #say(body: LeadBody): void {
    this.#number++;
    this.#options.post({ ...body, leader: this.leader, number: this.#number });
  }

  #update(key: FeedKey): void {
    const ids = new Set<string>();
    let after = "";
    let wanted = false;
    let urgent = false;
    for (const { wishes } of this.#members.values()) {
      const wish = wishes.get(key);
      if (wish === undefined) continue;
      wanted = true;
      for (const id of wish.ids) ids.add(id);
      urgent ||= wish.urgent;
      if (wish.unmet) after = olderOf(after, wish.after);
    }
    let feed = this.#feeds.get(key);
    if (!wanted) {
      feed?.close();
      this.#feeds.delete(key);
      return;
    }
    if (feed === undefined) {
      const { openUpstream, environment } = this.#options;
      const created = new SharedFeed({
        feed: key,
        openUpstream,
        environment,
        post: (body) => {
          // One that has been let go of says nothing any more.
          if (this.#feeds.get(key) === created) this.#tell(body);
        },
        forget: (gone) => this.#strike(key, new Set(gone)),
      });
      feed = created;
      this.#feeds.set(key, feed);
    }
    feed.update({ ids: [...ids], after, urgent });
  }

  #tell(body: FeedBody): void {
    if (body.kind === "opened") {
      this.#opened.set(body.feed, this.#number + 1);
      // Every tab answers it with what it still wants.
      for (const { wishes } of this.#members.values()) {
        const wish = wishes.get(body.feed);
        if (wish !== undefined) wishes.set(body.feed, { ...wish, urgent: false });
      }
    }
    this.#say(body);
  }

  #strike(key: FeedKey, gone: ReadonlySet<string>): void {
    for (const { wishes } of this.#members.values()) {
      const wish = wishes.get(key);
      const ids = wish?.ids.filter((id) => !gone.has(id)) ?? [];
      if (wish === undefined) continue;
      if (ids.length === 0) wishes.delete(key);
      else wishes.set(key, { ...wish, ids });
    }
    this.#update(key);
  }

  #rollLater(): () => void {
    return this.#options.environment.setTimer(() => {
      for (const [tab, member] of this.#members) {
        if (member.missedRolls === MAX_MISSED_ROLLS) this.forget(tab);
        else member.missedRolls++;
      }
      this.#cancelRoll = this.#rollLater();
      this.#say({ kind: "roll" });
    }, ROLL_MS);
  }
}
