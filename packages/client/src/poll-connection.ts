/**
 * One attempt over polls: request after request, each answered whole, that together are what one stream would have been.
 *
 * To its owner it is a connection like that of connection.ts: opened once, messages in order, one end. A response that ended after
 * its `connected` is no end: the next request goes out at once, but not before a floor, so that a broken server makes no hot
 * loop. Everything else is: a refusal, a cut, a silence, 204, an answer that told to come back later (`drain`), and the first whole one past
 * `untilMs`, when it is time to see whether a stream comes through (`probe`). The first poll is not held, so that `open` says soon that
 * the way is clear.
 * Called by StableEventSource only. [wire: poll]
 */
import type { StreamEvent } from "./event-stream-parser.js";
import { Connection, type ConnectionRequest, type ConnectionSink } from "./connection.js";
import type { Environment } from "./environment.js";
import { readField } from "./json-field.js";

// The server's own standard; below what proxies grant a silent response.
const WAIT_S = 20;
// Begin to begin: ten requests a second where each brings something, which many tasks at work may do on a fast link …
const FLOOR_MS = 100;
// … and one where it brings nothing and was not held, which a server that knows no polls does for ever.
const FRUITLESS_FLOOR_MS = 1000;

/** What a response may consist of without bringing anything new. */
const NO_NEWS: ReadonlySet<string> = new Set(["connected", "snapshot", "unavailable", "batch", "heartbeat"]);

export class PollConnection {
  readonly #compose: () => ConnectionRequest;
  readonly #sink: ConnectionSink;
  readonly #environment: Environment;
  readonly #untilMs: number;
  #connection: Connection | undefined;
  #cancelNext: (() => void) | undefined;
  #opened = false;
  #rev: string | undefined;

  /** `compose` makes the request a stream would begin with; it is asked again before each poll. */
  constructor(
    compose: () => ConnectionRequest,
    sink: ConnectionSink,
    environment: Environment,
    untilMs: number,
  ) {
    this.#compose = compose;
    this.#sink = sink;
    this.#environment = environment;
    this.#untilMs = untilMs;
    this.#ask();
  }

  abort(): void {
    this.#cancelNext?.();
    this.#connection?.abort();
  }

  /** A poll may be silent for as long as it is held, whatever the server announces for streams. */
  expect(_silenceMs: number): void {
    // Deliberately nothing.
  }

  #ask(): void {
    const request = toPoll(this.#compose(), this.#opened ? WAIT_S : 0, this.#rev);
    const askedAtMs = this.#environment.now();
    let cursor = request.lastEventId;
    let greeted = false;
    let drained = false;
    let news = false;
    const sink: ConnectionSink = {
      ...this.#sink,
      opened: (origin) => {
        if (this.#opened) return;
        this.#opened = true;
        this.#sink.opened(origin);
      },
      message: (message) => {
        const { event = "message", id } = message;
        if (event === "connected") greeted = true;
        if (event === "drain") drained = true;
        if (event === "heartbeat") this.#learnRev(message);
        if (!NO_NEWS.has(event) || (id !== undefined && id !== cursor)) news = true;
        cursor = id ?? cursor;
        return this.#sink.message(message);
      },
      end: (end) => {
        const whole = end.kind === "lost" && end.reason === "ended";
        if (!whole || !greeted || drained) return this.#sink.end(end);
        const nowMs = this.#environment.now();
        if (nowMs >= this.#untilMs) return this.#sink.end({ kind: "probe" });
        const floorMs = news ? FLOOR_MS : FRUITLESS_FLOOR_MS;
        const pastMs = nowMs - askedAtMs;
        // A clock set back makes the past negative; the wait must not grow with it.
        const delayMs = Math.min(floorMs, Math.max(0, floorMs - pastMs));
        this.#cancelNext = this.#environment.setTimer(() => this.#ask(), delayMs);
      },
    };
    this.#connection = new Connection(request, sink, this.#environment);
  }

  #learnRev({ data }: StreamEvent): void {
    const rev = readField(data, "rev");
    if (typeof rev === "string") this.#rev = rev;
  }
}

function toPoll(request: ConnectionRequest, waitS: number, rev: string | undefined): ConnectionRequest {
  const url = new URL(request.url);
  url.searchParams.set("transport", "poll");
  url.searchParams.set("wait", String(waitS));
  if (rev !== undefined) url.searchParams.set("rev", rev);
  // Where a proxy holds it back, headers too come only when the poll has been answered.
  const answerMs = waitS * 1000 + request.connectTimeoutMs;
  return {
    ...request,
    url: url.href,
    connectTimeoutMs: answerMs,
    firstByteMs: answerMs,
    silenceMs: answerMs,
  };
}
