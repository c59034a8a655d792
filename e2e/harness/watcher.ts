/**
 * Somebody who watches a stream to its very end: comes back with the last id whenever the stream breaks off, and is done
 * when the server answers 204, as a native EventSource would be.
 */
import { setTimeout as pause } from "node:timers/promises";
import { EventReader, type Frame } from "./event-reader.js";

export interface WatcherOptions {
  readonly url: string;
  /** Called when a connection begins, before its first event. */
  readonly onConnect?: () => void;
  readonly onFrame: (frame: Frame) => void;
  /** Gives up. */
  readonly signal: AbortSignal;
}

const BACK_AFTER_MS = 25;

export class Watcher {
  /** Resolves at 204; rejects when the signal aborts before. */
  readonly done: Promise<void>;
  connections = 0;
  lastEventId: string | undefined;

  constructor(options: WatcherOptions) {
    this.done = this.#watch(options);
    this.done.catch(() => undefined); // whoever started it asks at the end
  }

  async #watch({ url, onConnect, onFrame, signal }: WatcherOptions): Promise<void> {
    while (!signal.aborted) {
      onConnect?.();
      const reader = new EventReader(url, {
        lastEventId: this.lastEventId,
        onFrame: (frame) => {
          if (frame.id !== undefined) this.lastEventId = frame.id;
          onFrame(frame);
        },
      });
      const stop = (): void => reader.close();
      signal.addEventListener("abort", stop);
      const end = await reader.ended;
      signal.removeEventListener("abort", stop);
      if (reader.frames.length > 0) this.connections += 1;
      if (end.kind === "refused" && end.status === 204) return;
      // 404 is somebody whose task is only about to be made; everything else passes, too, or the test's bound does.
      await pause(BACK_AFTER_MS);
    }
    throw new Error(`${url} was not watched to its end`);
  }
}
