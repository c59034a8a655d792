/** One stream as a case sees it: the events with their times, and how it ended. */
import { LAST_EVENT_ID } from "@holdfast/protocol";
import { createParser } from "eventsource-parser";
import type { End, Head, Line } from "./line.js";

export interface SeenEvent {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: { readonly [name: string]: unknown };
  /** Of Date.now(), the clock that producers of the same process write into their events. */
  readonly atMs: number;
}

export class WatchedStream {
  readonly events: SeenEvent[] = [];
  readonly head: Promise<Head>;
  readonly end: Promise<End>;
  readonly leave: () => void;
  readonly #waiting = new Set<() => void>();

  constructor(line: Line, path: string, lastEventId?: string) {
    const parser = createParser({
      onEvent: ({ event = "message", id, data }) => {
        this.events.push({ name: event, id, data: JSON.parse(data) as SeenEvent["data"], atMs: Date.now() });
        for (const look of this.#waiting) look();
      },
    });
    const exchange = line.open(path, {
      headers: {
        accept: "text/event-stream",
        // What browsers send: a compressor that would hold events shows itself only to who accepts it.
        "accept-encoding": "gzip, deflate, br",
        ...(lastEventId !== undefined && { [LAST_EVENT_ID.toLowerCase()]: lastEventId }),
      },
      onText: (text) => parser.feed(text),
    });
    exchange.finish();
    this.head = exchange.head;
    this.end = exchange.end;
    this.leave = exchange.leave;
    void this.end.then(() => {
      for (const look of this.#waiting) look();
    });
  }

  named(name: string): readonly SeenEvent[] {
    return this.events.filter((event) => event.name === name);
  }

  /** The first `count` events of that name. Rejects when the stream ends before, or they don't come in time. */
  async first(name: string, withinMs: number, count = 1): Promise<readonly SeenEvent[]> {
    let ended: End | undefined;
    void this.end.then((end) => (ended = end));
    return await new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        const found = this.named(name);
        if (found.length >= count) {
          settle();
          resolve(found.slice(0, count));
        } else if (ended !== undefined) {
          settle();
          reject(
            new Error(`${found.length} ${name}, then ${ended.kind === "cut" ? ended.reason : "a clean end"}`),
          );
        }
      };
      const timer = setTimeout(() => {
        settle();
        reject(new Error(`${this.named(name).length} of ${count} ${name} within ${withinMs / 1_000} s`));
      }, withinMs);
      this.#waiting.add(look);
      look();
      void this.end.then(look);
    });
  }
}
