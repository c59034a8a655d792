/**
 * One attempt at sending: a tus Upload that is started once. It reports what happened and decides nothing; upload-job.ts, its only
 * caller, does. After `abort()` nothing is reported and no further request leaves.
 */
import { Upload, type HttpRequest, type HttpResponse } from "tus-js-client";
import { parseRetryAfterMs } from "./backoff.js";
import { HoldfastClientError } from "./client-error.js";
import { parseProblem } from "./problem.js";
import { readHeaders, type RequestHeaders } from "./request-headers.js";
import type { TusSource } from "./tus-source.js";
import { toClientError } from "./upload-failure.js";

export interface AttemptRequest {
  readonly source: TusSource;
  /** Null while unknown. */
  readonly total: number | null;
  readonly endpoint: string;
  /** Null: create it. */
  readonly url: string | null;
  readonly chunkBytes: number;
  /** The bytes go along with the creation. */
  readonly atOnce: boolean;
  readonly metadata: { [key: string]: string };
  readonly headers: RequestHeaders | undefined;
  readonly withCredentials: boolean;
  readonly now: () => number;
}

/** The request during which an attempt failed. */
export interface LastRequest {
  readonly method: string;
  /** `Retry-After`; 0 for none. */
  readonly retryAfterMs: number;
}

export interface AttemptSink {
  /** A creation leaves; its answer may get lost. */
  creating(): void;
  /** The server has answered well. */
  answered(): void;
  /** `length` is null where it was deferred. Throwing refuses to go on. */
  found(offset: number, length: number | null): void;
  /** The server knows the upload by this URL. */
  announced(url: string): void;
  moved(sent: number): void;
  stored(offset: number): void;
  succeeded(): void;
  failed(error: HoldfastClientError, last: LastRequest): void;
}

export class UploadAttempt {
  readonly #request: AttemptRequest;
  readonly #sink: AttemptSink;
  readonly #tus: Upload;
  #last: LastRequest = { method: "", retryAfterMs: 0 };
  #over = false;

  constructor(request: AttemptRequest, sink: AttemptSink) {
    this.#request = request;
    this.#sink = sink;
    const { source, total, endpoint, url, metadata, chunkBytes, atOnce } = request;
    const heard =
      <A extends readonly unknown[]>(callback: (...args: A) => void) =>
      (...args: A): void => {
        if (!this.#over) callback(...args);
      };
    this.#tus = new Upload(source.input, {
      endpoint,
      uploadUrl: url,
      metadata,
      fingerprint: () => Promise.resolve(""),
      fileReader: source.reader,
      chunkSize: chunkBytes,
      uploadDataDuringCreation: atOnce,
      ...(total === null ? { uploadLengthDeferred: true } : { uploadSize: total }),
      // Both would act without knowing what the job knows.
      retryDelays: null,
      storeFingerprintForResuming: false,
      onBeforeRequest: (sent) => this.#beforeRequest(sent),
      onAfterResponse: (sent, response) => this.#afterResponse(sent, response),
      onUploadUrlAvailable: heard(() => {
        if (this.#tus.url !== null) sink.announced(this.#tus.url);
      }),
      onProgress: heard((bytes) => sink.moved(bytes)),
      onChunkComplete: heard((_bytes, offset) => sink.stored(offset)),
      onSuccess: heard(() => sink.succeeded()),
      onError: heard((error) => sink.failed(toClientError(error), this.#last)),
    });
    this.#tus.start();
  }

  abort(): void {
    this.#over = true;
    void this.#tus.abort(false);
  }

  async #beforeRequest(request: HttpRequest): Promise<void> {
    const method = request.getMethod();
    this.#last = { method, retryAfterMs: 0 };
    const headers = await readHeaders(this.#request.headers);
    // tus forgets an abort that comes before its first request, and would send on unheard.
    if (this.#over) throw new HoldfastClientError("ABORTED", "the attempt was aborted");
    for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
    const underlying: unknown = request.getUnderlyingObject();
    if (typeof XMLHttpRequest !== "undefined" && underlying instanceof XMLHttpRequest) {
      underlying.withCredentials = this.#request.withCredentials;
    }
    if (method === "POST") this.#sink.creating();
  }

  /** Throwing here keeps tus from its own answer to a refusal, which is to create another upload. */
  #afterResponse(request: HttpRequest, response: HttpResponse): void {
    if (this.#over) return;
    const status = response.getStatus();
    const method = request.getMethod();
    if (status >= 200 && status < 300) {
      this.#sink.answered();
      if (method === "HEAD") {
        const length = response.getHeader("Upload-Length") ?? null;
        this.#sink.found(
          Number(response.getHeader("Upload-Offset")),
          length === null ? null : Number(length),
        );
      }
      return;
    }
    const retryAfterMs = parseRetryAfterMs(response.getHeader("Retry-After") ?? null, this.#request.now());
    this.#last = { method, retryAfterMs };
    const problem = parseProblem(response.getBody());
    const said = problem?.detail ?? problem?.title ?? "no reason given";
    throw new HoldfastClientError("HTTP_STATUS", `${method} upload → ${status}: ${said}`, {
      status,
      problem,
    });
  }
}
