/**
 * One stream over one socket, as it comes: every event with the time at which it arrived, and how the stream ended.
 *
 * A client of its own, so that the suites judge the server by the wire and not by our client's patience.
 */
import { get, type ClientRequest } from "node:http";
import { createParser } from "eventsource-parser";
import type { JsonFields } from "./http-call.js";

export interface Frame {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: JsonFields;
  /** Of performance.now(). */
  readonly atMs: number;
}

/** `ended`: the response was whole. `cut`: it was not. `refused`: it was no stream at all. */
export type StreamEnd =
  | { readonly kind: "ended" }
  | { readonly kind: "cut"; readonly reason: string }
  | { readonly kind: "refused"; readonly status: number };

export interface EventReaderOptions {
  readonly lastEventId?: string | undefined;
  readonly onFrame?: (frame: Frame) => void;
}

export class EventReader {
  readonly frames: Frame[] = [];
  readonly ended: Promise<StreamEnd>;
  /** The last `retry:` in milliseconds. */
  retryMs: number | undefined;
  readonly #request: ClientRequest;
  readonly #waiting = new Set<() => void>();

  constructor(url: string, { lastEventId, onFrame }: EventReaderOptions = {}) {
    const parser = createParser({
      onEvent: ({ event = "message", id, data }) => {
        const frame = { event, id, data: JSON.parse(data) as JsonFields, atMs: performance.now() };
        this.frames.push(frame);
        onFrame?.(frame);
        for (const look of this.#waiting) look();
      },
      onRetry: (retryMs) => {
        this.retryMs = retryMs;
      },
    });
    const headers = {
      Accept: "text/event-stream",
      ...(lastEventId !== undefined && { "Last-Event-ID": lastEventId }),
    };
    this.#request = get(url, { headers, agent: false });
    this.ended = new Promise((resolve) => {
      const cut = (error: Error): void => resolve({ kind: "cut", reason: error.message });
      this.#request.on("error", cut);
      this.#request.on("response", (response) => {
        const status = response.statusCode ?? 0;
        response.on("error", cut);
        if (status !== 200) {
          response.resume();
          response.on("close", () => resolve({ kind: "refused", status }));
          return;
        }
        response.on("data", (chunk: Buffer) => parser.feed(chunk.toString()));
        response.on("end", () => resolve({ kind: "ended" }));
        response.on("close", () => cut(new Error("closed before its end")));
      });
    });
    void this.ended.then(() => {
      for (const look of this.#waiting) look();
    });
  }

  close(): void {
    this.#request.destroy();
  }

  named(event: string): readonly Frame[] {
    return this.frames.filter((frame) => frame.event === event);
  }

  /** The first such event, also of those that have come already. Rejects when it does not come in time. */
  async first(event: string, withinMs = 10_000): Promise<Frame> {
    return await new Promise((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        const frame = this.frames.find((one) => one.event === event);
        if (frame === undefined) return;
        finish();
        resolve(frame);
      };
      const timer = setTimeout(() => {
        finish();
        reject(
          new Error(`no ${event} within ${withinMs} ms: ${this.frames.map((one) => one.event).join(" ")}`),
        );
      }, withinMs);
      this.#waiting.add(look);
      look();
    });
  }
}
