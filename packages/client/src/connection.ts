/**
 * One attempt: ask, judge the answer, read the stream, and say exactly once how it ended.
 *
 * It promises that `sink.end` is called once, within `connectTimeoutMs` when no answer comes, `firstByteMs` when its body does not begin, and
 * `silenceMs` after the last byte, also where fetch or the reader never settle (Node 20's fetch does not when the peer closes right after
 * accepting); and that after `abort()` nothing is called any more. It knows no retries and no state: stream-state.ts decides what
 * follows. Called by StableEventSource and PollConnection.
 */
import { parseRetryAfterMs } from "./backoff.js";
import type { Environment } from "./environment.js";
import type { StreamEvent } from "./event-stream-parser.js";
import { readEventStream } from "./event-stream-reader.js";
import { readProblem } from "./problem.js";
import { readHeaders, type RequestHeaders } from "./request-headers.js";
import { toVerdict } from "./response-verdict.js";
import { setStreamHeaders } from "./stream-headers.js";
import type { Loss, LossReason, LostInput, RefusedInput } from "./stream-state.js";
import { Watchdog } from "./watchdog.js";

export type RequestBody = string | Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | URLSearchParams | FormData;

export interface ConnectionRequest {
  readonly url: string;
  readonly method: string;
  readonly body: RequestBody | undefined;
  readonly headers: RequestHeaders | undefined;
  readonly withCredentials: boolean;
  readonly fetch: typeof fetch;
  readonly lastEventId: string;
  readonly connectTimeoutMs: number;
  /** From the head of the answer to the first byte of its body. */
  readonly firstByteMs: number;
  readonly silenceMs: number;
}

export type ConnectionEnd = { readonly kind: "done" | "probe" } | RefusedInput | LostInput;

export interface ConnectionSink {
  opened(origin: string): void;
  /** Bytes have come. */
  heard(): void;
  /** False: an event before this one is missing, and the connection is given up. */
  message(message: StreamEvent): boolean;
  /** The stream has moved the cursor and told nothing. */
  cursor(id: string): void;
  retry(retryMs: number): void;
  end(end: ConnectionEnd): void;
}

const NO_ANSWER: Loss = { status: null, problem: null };

function lost(reason: LossReason, loss: Loss = NO_ANSWER, retryAfterMs = 0): LostInput {
  return { kind: "lost", reason, ...loss, retryAfterMs };
}

export class Connection {
  readonly #request: ConnectionRequest;
  readonly #sink: ConnectionSink;
  readonly #environment: Environment;
  readonly #controller = new AbortController();
  readonly #watchdog: Watchdog;
  #silenceMs: number;
  /** How it ends if what is awaited now does not come in time. */
  #ifSilent: ConnectionEnd = lost("connect-timeout");

  constructor(request: ConnectionRequest, sink: ConnectionSink, environment: Environment) {
    this.#request = request;
    this.#sink = sink;
    this.#environment = environment;
    this.#silenceMs = request.silenceMs;
    this.#watchdog = new Watchdog(environment, request.connectTimeoutMs, () => this.#end(this.#ifSilent));
    void this.#run();
  }

  abort(): void {
    this.#watchdog.stop();
    this.#controller.abort();
  }

  /** The server has said how often it speaks. */
  expect(silenceMs: number): void {
    this.#silenceMs = silenceMs;
    this.#watchdog.expect(silenceMs);
  }

  get #over(): boolean {
    return this.#controller.signal.aborted;
  }

  #end(end: ConnectionEnd): void {
    if (this.#over) return;
    this.abort();
    this.#sink.end(end);
  }

  async #run(): Promise<void> {
    const { url, method, body, withCredentials, fetch, lastEventId } = this.#request;
    const { signal } = this.#controller;
    let during: LossReason = "headers";
    try {
      const headers = new Headers(await readHeaders(this.#request.headers));
      if (this.#over) return;
      setStreamHeaders(headers, lastEventId);
      during = "network";
      const response = await fetch(url, {
        method,
        headers,
        cache: "no-store",
        credentials: withCredentials ? "include" : "same-origin",
        signal,
        ...(body === undefined ? {} : { body }),
      });
      // Too late: nobody will read it. A fetch of somebody's own may not heed the signal.
      if (this.#over) await response.body?.cancel();
      else await this.#judge(response);
    } catch {
      this.#end(lost(during));
    }
  }

  async #judge(response: Response): Promise<void> {
    const { status, headers } = response;
    const verdict = toVerdict(status, headers.get("content-type"));
    if (verdict === "open") return this.#read(response);
    if (verdict === "done") return this.#end({ kind: "done" });
    const retryAfterMs = parseRetryAfterMs(headers.get("retry-after"), this.#environment.now());
    const toEnd = (problem: Loss["problem"]): ConnectionEnd =>
      verdict === "refused"
        ? { kind: verdict, status, problem }
        : lost(verdict, { status, problem }, retryAfterMs);
    // The status has decided already; a document that is cut or mute changes nothing.
    this.#ifSilent = toEnd(null);
    this.#watchdog.feed();
    const problem = status < 400 ? undefined : await readProblem(response).catch(() => undefined);
    this.#end(toEnd(problem ?? null));
  }

  async #read(response: Response): Promise<void> {
    const { url, firstByteMs } = this.#request;
    this.#ifSilent = lost("mute");
    this.#watchdog.feed();
    this.#watchdog.expect(firstByteMs);
    this.#sink.opened(new URL(response.url || url).origin);
    let first = true;
    await readEventStream(response, {
      bytes: () => {
        this.#watchdog.feed();
        this.#sink.heard();
        if (!first) return;
        first = false;
        this.#ifSilent = lost("silence");
        this.#watchdog.expect(this.#silenceMs);
      },
      isOver: () => this.#over,
      event: (message) => {
        if (!this.#sink.message(message)) this.#end(lost("missed"));
      },
      id: (id) => this.#sink.cursor(id),
      retry: (retryMs) => this.#sink.retry(retryMs),
      oversized: () => this.#end(lost("oversized")),
    });
    this.#end(lost("ended"));
  }
}
