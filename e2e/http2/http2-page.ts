/**
 * What a page does over HTTP/2: all its streams and requests on one connection, which it makes anew whenever it is lost.
 *
 * Promises: a stream goes on with its last id until the server answers 204; whether its ends were clean is kept. Called by: the tests of
 * this room. Node's own client, so that the server is judged by another's HTTP/2 than its own.
 */
import { connect, constants, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { setTimeout as pause } from "node:timers/promises";
import { createParser } from "eventsource-parser";
import type { JsonFields } from "../harness/http-call.js";

export interface Heard {
  readonly event: string;
  readonly data: JsonFields;
}

export interface Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: unknown };
  /** Of RST_STREAM or GOAWAY, and NO_ERROR for a clean end. */
  readonly code: number;
}

const BACK_AFTER_MS = 25;

export class Http2Page {
  readonly #url: string;
  #session: ClientHttp2Session | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  close(): void {
    this.#session?.destroy();
  }

  /** Watches to the 204; returns all it heard. Rejects when the signal aborts before. */
  async watch(path: string, signal: AbortSignal): Promise<readonly Heard[]> {
    const heard: Heard[] = [];
    let lastId: string | undefined;
    const parser = createParser({
      onEvent: ({ event = "message", id, data }) => {
        if (id !== undefined) lastId = id;
        heard.push({ event, data: JSON.parse(data) as JsonFields });
      },
    });
    while (!signal.aborted) {
      const { status } = await this.call({
        headers: { ":path": path, ...(lastId !== undefined && { "last-event-id": lastId }) },
        signal,
        onData: (chunk) => parser.feed(chunk.toString()),
      });
      if (status === 204) return heard;
      parser.reset({ consume: false });
      await pause(BACK_AFTER_MS);
    }
    throw new Error(`${path} was not watched to its end: ${heard.length} events`);
  }

  /** One request; status 0 when there was no answer. */
  async call({
    headers,
    body,
    signal,
    onData,
  }: {
    readonly headers: OutgoingHttpHeaders;
    readonly body?: Uint8Array;
    readonly signal?: AbortSignal;
    readonly onData?: (chunk: Buffer) => void;
  }): Promise<Answer> {
    const session = this.#open();
    return await new Promise((resolve) => {
      const stream = session.request(headers, { endStream: body === undefined });
      const leave = (): void => stream.close(constants.NGHTTP2_CANCEL);
      let answer: { [name: string]: unknown } = {};
      stream.on("response", (received) => (answer = received));
      stream.on("data", (chunk: Buffer) => onData?.(chunk));
      stream.on("error", () => undefined); // the code says the same
      stream.once("close", () => {
        signal?.removeEventListener("abort", leave);
        resolve({ status: Number(answer[":status"] ?? 0), headers: answer, code: stream.rstCode });
      });
      signal?.addEventListener("abort", leave);
      if (body !== undefined) stream.end(body);
    });
  }

  #open(): ClientHttp2Session {
    const now = this.#session;
    if (now !== undefined && !now.closed && !now.destroyed) return now;
    const session = connect(this.#url);
    session.on("error", () => undefined); // its streams say the same
    session.on("goaway", () => {
      if (this.#session === session) this.#session = undefined;
    });
    this.#session = session;
    return session;
  }
}
