/**
 * One attempt: ask, judge the answer, read the stream, and say exactly once how it ended.
 *
 * It promises that `sink.end` is called once, within `connectTimeoutMs` when no answer comes and `silenceMs` after the last byte,
 * also where fetch or the reader never settle; and that after `abort()` nothing is called any more. It knows no retries and no
 * state: stream-state.ts decides what follows. Called by StableEventSource only.
 */
import { LAST_EVENT_ID } from "@holdfast/protocol";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { parseRetryAfterMs } from "./backoff.js";
import { HoldfastClientError } from "./client-error.js";
import { withDeadline } from "./deadline.js";
import type { Environment } from "./environment.js";
import { HeartbeatProof } from "./heartbeat-proof.js";
import { readProblem, type Problem } from "./problem.js";
import { readHeaders, type RequestHeaders } from "./request-headers.js";
import { toVerdict } from "./response-verdict.js";
import type { LossReason, LostInput, RefusedInput } from "./stream-state.js";
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
  readonly silenceMs: number;
}

export type ConnectionEnd = { readonly kind: "done" } | RefusedInput | LostInput;

export interface ConnectionSink {
  opened(origin: string): void;
  message(message: EventSourceMessage): void;
  retry(retryMs: number): void;
  end(end: ConnectionEnd): void;
}

// One event may be large (a snapshot of a task with its result); one that never ends must not fill memory.
const MAX_EVENT_CHARS = 8_388_608;

export class Connection {
  readonly #request: ConnectionRequest;
  readonly #sink: ConnectionSink;
  readonly #environment: Environment;
  readonly #controller = new AbortController();
  readonly #proof = new HeartbeatProof();
  #watchdog: Watchdog | undefined;
  #over = false;

  constructor(request: ConnectionRequest, sink: ConnectionSink, environment: Environment) {
    this.#request = request;
    this.#sink = sink;
    this.#environment = environment;
    void this.#run();
  }

  abort(): void {
    this.#over = true;
    this.#watchdog?.stop();
    this.#controller.abort();
  }

  /** The server has said how often it speaks. */
  expect(silenceMs: number): void {
    this.#watchdog?.expect(silenceMs);
  }

  #end(end: ConnectionEnd): void {
    if (this.#over) return;
    this.abort();
    this.#sink.end(end);
  }

  #lose(reason: LossReason, status: number | null = null): void {
    this.#end({ kind: "lost", reason, status, problem: null, retryAfterMs: 0 });
  }

  async #run(): Promise<void> {
    let during: LossReason = "headers";
    try {
      const headers = await this.#beforeDeadline(this.#composeHeaders(), "asking for headers");
      during = "network";
      const response = await this.#beforeDeadline(this.#fetch(headers), `connecting to ${this.#request.url}`);
      await this.#judge(response);
    } catch (error) {
      const timedOut = error instanceof HoldfastClientError && error.code === "TIMEOUT";
      this.#lose(timedOut ? "connect-timeout" : during);
    }
  }

  #beforeDeadline<T>(work: Promise<T>, what: string): Promise<T> {
    return withDeadline(work, {
      environment: this.#environment,
      deadlineMs: this.#request.connectTimeoutMs,
      signal: this.#controller.signal,
      what,
    });
  }

  async #composeHeaders(): Promise<Headers> {
    const headers = new Headers(await readHeaders(this.#request.headers));
    headers.set("Accept", "text/event-stream");
    if (this.#request.lastEventId !== "")
      headers.set(LAST_EVENT_ID, toHeaderBytes(this.#request.lastEventId));
    return headers;
  }

  async #fetch(headers: Headers): Promise<Response> {
    const { url, method, body, withCredentials, fetch } = this.#request;
    const response = await fetch(url, {
      method,
      headers,
      cache: "no-store",
      credentials: withCredentials ? "include" : "same-origin",
      signal: this.#controller.signal,
      ...(body === undefined ? {} : { body }),
    });
    // Too late: nobody will read it. A fetch of somebody's own may not heed the signal.
    if (this.#over) await response.body?.cancel().catch(() => undefined);
    return response;
  }

  async #judge(response: Response): Promise<void> {
    const { status } = response;
    const verdict = toVerdict(status, response.headers.get("content-type"));
    switch (verdict) {
      case "open":
        await this.#read(response);
        return;
      case "done":
        this.#end({ kind: "done" });
        return;
      case "content-type":
        this.#lose(verdict, status);
        return;
      case "refused":
        this.#end({ kind: "refused", status, problem: await this.#problemOf(response) });
        return;
      case "status": {
        const retryAfterMs = parseRetryAfterMs(response.headers.get("retry-after"), this.#environment.now());
        const problem = await this.#problemOf(response);
        this.#end({ kind: "lost", reason: "status", status, problem, retryAfterMs });
        return;
      }
    }
  }

  /** The status has decided already; a body that is cut or mute changes nothing. */
  async #problemOf(response: Response): Promise<Problem | null> {
    try {
      return (await this.#beforeDeadline(readProblem(response), "reading the error")) ?? null;
    } catch {
      return null;
    }
  }

  async #read(response: Response): Promise<void> {
    if (this.#over) return;
    const watchdog = new Watchdog(this.#environment, this.#request.silenceMs, () => this.#lose("silence"));
    this.#watchdog = watchdog;
    this.#sink.opened(new URL(response.url === "" ? this.#request.url : response.url).origin);
    const parser = createParser({
      maxBufferSize: MAX_EVENT_CHARS,
      onEvent: (message) => {
        if (this.#over) return;
        if (this.#proof.holds(message)) this.#sink.message(message);
        else this.#lose("missed");
      },
      onRetry: (retryMs) => {
        if (!this.#over) this.#sink.retry(retryMs);
      },
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") this.#lose("oversized");
      },
    });
    const decoder = new TextDecoder();
    // No body is an empty one.
    const reader = (response.body ?? new Blob([]).stream()).getReader();
    while (!this.#over) {
      // oxlint-disable-next-line no-await-in-loop -- a stream is read in order
      const { done, value } = await reader.read();
      if (done) break;
      watchdog.feed();
      if (!this.#over) parser.feed(decoder.decode(value, { stream: true }));
    }
    this.#lose("ended");
  }
}

/** [html §9.2.3] the id is sent as UTF-8; header values are strings of bytes. */
function toHeaderBytes(id: string): string {
  return String.fromCharCode(...new TextEncoder().encode(id));
}
