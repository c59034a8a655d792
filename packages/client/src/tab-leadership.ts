/**
 * Which tab leads: the one that holds the lock. The others queue for it, so that a leader that closes or crashes is followed by the
 * browser itself; and they watch, so that one that is frozen while it holds the lock is followed too.
 *
 *     resting ──start──▶ following ──lock granted──▶ leading ──lock taken away──▶ following
 *        ▲                  │  ▲ ask, ask, steal          │
 *        └────── rest ◀─────┴──┴──────────────────────────┘
 *
 *  1. At most one tab holds the lock; a tab leads exactly while it believes to hold it, and learns from the lock alone that it does not:
 *     a thawed leader may go on for a moment, to nobody but itself.
 *  2. A beat is asked for, not sent by timer: the timers of a hidden tab may be held for a minute, its messages are not.
 *     Whatever the leader says is a beat.
 *  3. One follower at a time asks: the others yield to it, and look again if nothing comes of it.
 *  4. The lock is taken away only after a silence and two asks without an answer. One could have been asked before this tab was frozen
 *     itself; the answer to the second is heard first, if there is one.
 * Called by SharedTab.
 */
import type { Environment } from "./environment.js";

/** What is used of `navigator.locks`. */
export interface TabLocks {
  request(
    name: string,
    options: { readonly steal?: boolean; readonly signal?: AbortSignal },
    granted: () => Promise<void>,
  ): Promise<unknown>;
}

export interface TabLeadershipOptions {
  readonly locks: TabLocks;
  readonly name: string;
  readonly tab: string;
  readonly environment: Environment;
  readonly sink: {
    leads(): void;
    /** The lock was taken away. */
    lost(): void;
    /** Asks all tabs for the leader's beat. */
    ask(): void;
  };
}

type Standing =
  | { readonly kind: "resting" }
  | { readonly kind: "following"; readonly leave: () => void }
  | { readonly kind: "leading"; readonly release: () => void };

// With the two answers waited for, a frozen leader is followed after 8 to 13 s: a person starts to wonder at about ten.
const SILENCE_MS = 3000;
// A page busy with its own scripts answers late.
const ANSWER_MS = 2500;
const ASKS = 2;
// Spreads the asks of many followers: the first one's does for all.
const JITTER_MS = 500;

export class TabLeadership {
  readonly #options: TabLeadershipOptions;
  #standing: Standing = { kind: "resting" };
  #heard = false;
  #asks = 0;
  #cancelTick: (() => void) | undefined;

  constructor(options: TabLeadershipOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#standing.kind === "resting") this.#follow(false);
  }

  rest(): void {
    const standing = this.#standing;
    this.#standing = { kind: "resting" };
    this.#stopWatching();
    if (standing.kind === "leading") standing.release();
    if (standing.kind === "following") standing.leave();
  }

  /**
   * Another follower asks. It does that for all: who has not asked yet waits for what comes of it, and of several that ask at
   * once, as hidden tabs do, whose timers are held to whole seconds, one goes on.
   */
  heardAsk(from: string): void {
    if (this.#standing.kind !== "following" || (this.#asks > 0 && this.#options.tab < from)) return;
    this.#asks = 0;
    this.#watch(SILENCE_MS);
  }

  /** The leader is alive. */
  heard(): void {
    this.#heard = true;
    this.#asks = 0;
  }

  #follow(steal: boolean): void {
    const left = new AbortController();
    const standing: Standing = { kind: "following", leave: () => left.abort() };
    this.#standing = standing;
    this.#watch(SILENCE_MS);
    const { locks, name } = this.#options;
    // [Web Locks] what steals can't be aborted.
    const options = steal ? { steal } : { signal: left.signal };
    void this.#hold(locks, name, options, standing);
  }

  async #hold(
    locks: TabLocks,
    name: string,
    options: { readonly steal?: boolean; readonly signal?: AbortSignal },
    following: Standing,
  ): Promise<void> {
    let leading: Standing | undefined;
    const lead = (release: () => void): void => {
      leading = { kind: "leading", release };
      this.#standing = leading;
      this.#stopWatching();
      this.#options.sink.leads();
    };
    try {
      await locks.request(name, options, async () => {
        if (this.#standing === following) await new Promise<void>(lead);
      });
    } catch (error) {
      // [Web Locks] taken away, or no longer waited for. Anything else: there are no locks here, as in a sandboxed frame.
      const aborted = error instanceof DOMException && error.name === "AbortError";
      if (this.#standing === following && !aborted) lead(() => undefined);
      else if (this.#standing === following) this.#follow(false);
      else if (leading !== undefined && this.#standing === leading) {
        this.#follow(false);
        this.#options.sink.lost();
      }
    }
  }

  #watch(delayMs: number): void {
    const { environment } = this.#options;
    this.#stopWatching();
    const jitterMs = Math.round(environment.random() * JITTER_MS);
    this.#cancelTick = environment.setTimer(() => this.#tick(), delayMs + jitterMs);
  }

  #stopWatching(): void {
    this.#cancelTick?.();
    this.#cancelTick = undefined;
  }

  #tick(): void {
    const { standing, heard } = { standing: this.#standing, heard: this.#heard };
    if (standing.kind !== "following") return;
    this.#heard = false;
    if (heard) {
      this.#watch(SILENCE_MS);
    } else if (this.#asks < ASKS) {
      this.#asks++;
      this.#watch(ANSWER_MS);
      this.#options.sink.ask();
    } else {
      this.#asks = 0;
      standing.leave();
      this.#follow(true);
    }
  }
}
