/**
 * Who listens to what. Publishing to a channel without listeners costs one map look-up.
 */
import type { Latest, Milestone } from "./record.js";

export interface Listener {
  milestone(event: Milestone): void;
  latest(value: Latest): void;
}

export class Hub {
  readonly #channels = new Map<string, Set<Listener>>();
  readonly #observers = new Map<string, Set<() => void>>();

  /** Listens until the returned function is called; calling it twice is harmless. */
  subscribe(channels: readonly string[], listener: Listener): () => void {
    for (const name of channels) {
      const listeners = this.#channels.get(name);
      if (listeners === undefined) this.#channels.set(name, new Set([listener]));
      else listeners.add(listener);
      this.#counted(name);
    }
    return () => {
      for (const name of channels) {
        const listeners = this.#channels.get(name);
        if (listeners?.delete(listener) !== true) continue;
        if (listeners.size === 0) this.#channels.delete(name);
        this.#counted(name);
      }
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
    for (const name of channels) {
      const listeners = this.#channels.get(name);
      if (listeners !== undefined) for (const listener of listeners) listener.milestone(event);
    }
  }

  publishLatest(channels: readonly string[], value: Latest): void {
    for (const name of channels) {
      const listeners = this.#channels.get(name);
      if (listeners !== undefined) for (const listener of listeners) listener.latest(value);
    }
  }

  #counted(name: string): void {
    const observers = this.#observers.get(name);
    if (observers !== undefined) for (const onCount of observers) onCount();
  }
}
