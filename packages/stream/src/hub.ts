/**
 * Who listens to what. Publishing to a channel without listeners costs one map look-up.
 *
 * Promises
 * - Every listener hears what is published in the one order in which it was, also what a listener publishes from within: that waits until
 *   all have heard what came before, else the next in line would hear it first.
 * - A listener that throws keeps nothing from the others, nor from whoever published: the milestone is stored by then. It has missed
 *   something, so it is told that it failed, and hears no more.
 * Called by: the engine's owner, who publishes; gates, which listen. Refuses: to know what is stored.
 */
import type { Latest, Milestone } from "./record.js";

export interface Listener {
  milestone(event: Milestone): void;
  latest(value: Latest): void;
  /** It threw while it was told something, and is told nothing more: what depends on it must not go on as if it were whole. */
  failed(): void;
}

export class Hub {
  readonly #channels = new Map<string, Set<Listener>>();
  readonly #observers = new Map<string, Set<() => void>>();
  readonly #onError: (error: unknown) => void;
  /** Published from within, to be told next; undefined while nothing is being told. */
  #waiting: (() => void)[] | undefined;

  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Listens until the returned function is called; calling it twice is harmless. */
  subscribe(channels: readonly string[], listener: Listener): () => void {
    for (const name of channels) {
      const listeners = this.#channels.get(name);
      if (listeners === undefined) this.#channels.set(name, new Set([listener]));
      else listeners.add(listener);
      this.#counted(name);
    }
    return () => {
      for (const name of channels) this.#remove(name, listener);
    };
  }

  listeners(channel: string): number {
    return this.#channels.get(channel)?.size ?? 0;
  }

  /** Calls back each time somebody has begun or ceased to listen to one of the channels, until the returned function is called. */
  observe(channels: readonly string[], onCount: () => void): () => void {
    const observer = (): void => onCount(); // its own identity: the same callback may be given twice
    for (const name of channels) {
      const observers = this.#observers.get(name);
      if (observers === undefined) this.#observers.set(name, new Set([observer]));
      else observers.add(observer);
    }
    return () => {
      for (const name of channels) {
        const observers = this.#observers.get(name);
        if (observers?.delete(observer) === true && observers.size === 0) this.#observers.delete(name);
      }
    };
  }

  /** Channels somebody listens to. Zero when every stream has gone. */
  get size(): number {
    return this.#channels.size;
  }

  publishMilestone(channels: readonly string[], event: Milestone): void {
    this.#inOrder(() => this.#tell(channels, (listener) => listener.milestone(event)));
  }

  publishLatest(channels: readonly string[], value: Latest): void {
    this.#inOrder(() => this.#tell(channels, (listener) => listener.latest(value)));
  }

  #inOrder(tell: () => void): void {
    if (this.#waiting !== undefined) {
      this.#waiting.push(tell);
      return;
    }
    const queue = [tell];
    this.#waiting = queue;
    try {
      // The array grows while it is walked: what is published from within is told from here.
      for (const next of queue) next();
    } finally {
      this.#waiting = undefined;
    }
  }

  #tell(channels: readonly string[], tell: (listener: Listener) => void): void {
    for (const name of channels) {
      for (const listener of this.#channels.get(name) ?? []) {
        try {
          tell(listener);
        } catch (error) {
          this.#drop(listener, error);
        }
      }
    }
  }

  #drop(failed: Listener, cause: unknown): void {
    this.#onError(cause);
    for (const [name, listeners] of this.#channels) if (listeners.has(failed)) this.#remove(name, failed);
    try {
      failed.failed();
    } catch (error) {
      this.#onError(error);
    }
  }

  #remove(name: string, listener: Listener): void {
    const listeners = this.#channels.get(name);
    if (listeners?.delete(listener) !== true) return;
    if (listeners.size === 0) this.#channels.delete(name);
    this.#counted(name);
  }

  #counted(name: string): void {
    const observers = this.#observers.get(name);
    if (observers !== undefined) for (const onCount of observers) onCount();
  }
}
