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

  /** Listens until the returned function is called; calling it twice is harmless. */
  subscribe(channels: readonly string[], listener: Listener): () => void {
    for (const name of channels) {
      const listeners = this.#channels.get(name);
      if (listeners === undefined) this.#channels.set(name, new Set([listener]));
      else listeners.add(listener);
    }
    return () => {
      for (const name of channels) {
        const listeners = this.#channels.get(name);
        if (listeners?.delete(listener) === true && listeners.size === 0) this.#channels.delete(name);
      }
    };
  }

  listeners(channel: string): number {
    return this.#channels.get(channel)?.size ?? 0;
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
}
