/**
 * The plain calls that a page needs beside the stream. Each is one request under a deadline of its own, repeated once with fresh
 * headers after a 401; nothing else is retried here. Errors are HoldfastClientError: HTTP_STATUS with `status` and `problem`, NETWORK,
 * TIMEOUT, BAD_RESPONSE, ABORTED.
 */
import { parseBatchId, parseTaskId, type Batch, type Json, type Task } from "@holdfast/protocol";
import { HoldfastClientError } from "./client-error.js";
import { withDeadline } from "./deadline.js";
import { SYSTEM_ENVIRONMENT, type Environment } from "./environment.js";
import { assertAtLeast, assertKnownOptions, resolveUrl } from "./option-check.js";
import { readProblem } from "./problem.js";
import { readHeaders, type RequestHeaders } from "./request-headers.js";
import { INTERNALS, type StreamInternals } from "./stream-options.js";

export interface HoldfastApiOptions {
  /** Where the API lives, with its base path; `/api/v1` of the page. */
  readonly baseUrl?: string | URL;
  readonly headers?: RequestHeaders;
  readonly withCredentials?: boolean;
  readonly fetch?: typeof fetch;
  /** Milliseconds until the whole answer must have come; 10,000. */
  readonly requestTimeout?: number;
  /** @internal */
  readonly [INTERNALS]?: StreamInternals;
}

const KNOWN: { readonly [K in Extract<keyof HoldfastApiOptions, string>]-?: true } = {
  baseUrl: true,
  headers: true,
  withCredentials: true,
  fetch: true,
  requestTimeout: true,
};

export interface CallOptions {
  readonly signal?: AbortSignal;
}

export interface NewBatch {
  readonly id?: string;
  readonly metadata?: { readonly [key: string]: Json };
}

/** Without a trailing slash. Throws INVALID_OPTION for a relative one where there is no page. */
export function resolveBaseUrl(baseUrl: string | URL = "/api/v1"): string {
  return resolveUrl(baseUrl).replace(/\/+$/, "");
}

export class HoldfastApi {
  readonly baseUrl: string;
  readonly #headers: RequestHeaders | undefined;
  readonly #credentials: RequestCredentials;
  readonly #fetch: typeof fetch;
  readonly #requestTimeoutMs: number;
  readonly #environment: Environment;

  constructor(options: HoldfastApiOptions = {}) {
    assertKnownOptions(options, KNOWN, "HoldfastApi");
    this.baseUrl = resolveBaseUrl(options.baseUrl);
    this.#headers = options.headers;
    this.#credentials = options.withCredentials === true ? "include" : "same-origin";
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#requestTimeoutMs = options.requestTimeout ?? 10_000;
    assertAtLeast({ requestTimeout: options.requestTimeout }, 1, "requestTimeout");
    this.#environment = options[INTERNALS]?.environment ?? SYSTEM_ENVIRONMENT;
  }

  /** `GET /tasks/{id}`; an upload's id is a task's id. */
  async task(taskId: string, options: CallOptions = {}): Promise<Task> {
    return readTask(await this.#call("GET", `/tasks/${assertTaskId(taskId)}`, undefined, options));
  }

  /** `DELETE /uploads/{id}`: ends it as `cancelled`; on a completed one removes the bytes. */
  async cancelUpload(taskId: string, options: CallOptions = {}): Promise<void> {
    await this.#call("DELETE", `/uploads/${assertTaskId(taskId)}`, undefined, options);
  }

  /** `DELETE /tasks/{id}`: asks the producer to stop. */
  async cancelTask(taskId: string, options: CallOptions = {}): Promise<void> {
    await this.#call("DELETE", `/tasks/${assertTaskId(taskId)}`, undefined, options);
  }

  async createBatch(batch: NewBatch = {}, options: CallOptions = {}): Promise<Batch> {
    return readBatch(await this.#call("POST", "/batches", batch, options));
  }

  async batch(batchId: string, options: CallOptions = {}): Promise<Batch> {
    return readBatch(await this.#call("GET", `/batches/${assertBatchId(batchId)}`, undefined, options));
  }

  /** No task can be added any more; its stream ends when all have ended. */
  async closeBatch(batchId: string, options: CallOptions = {}): Promise<void> {
    await this.#call("POST", `/batches/${assertBatchId(batchId)}/close`, undefined, options);
  }

  /** Resolves with the parsed body; null for an empty one. */
  async #call(
    method: string,
    path: string,
    body: object | undefined,
    options: CallOptions,
  ): Promise<unknown> {
    try {
      return await this.#send(method, path, body, options);
    } catch (error) {
      const refreshable = error instanceof HoldfastClientError && error.status === 401;
      if (!refreshable || typeof this.#headers !== "function") throw error;
      return this.#send(method, path, body, options);
    }
  }

  async #send(
    method: string,
    path: string,
    body: object | undefined,
    { signal }: CallOptions,
  ): Promise<unknown> {
    const what = `${method} ${this.baseUrl}${path}`;
    const controller = new AbortController();
    const onAbort = (): void => controller.abort(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) onAbort();
    try {
      return await withDeadline(this.#exchange(method, path, body, controller.signal), {
        environment: this.#environment,
        deadlineMs: this.#requestTimeoutMs,
        signal: controller.signal,
        what,
      });
    } catch (error) {
      if (error instanceof HoldfastClientError) throw error;
      throw new HoldfastClientError("NETWORK", `${what} failed: ${String(error)}`, { cause: error });
    } finally {
      signal?.removeEventListener("abort", onAbort);
      // Ends a request that is past its deadline; one that has answered is not touched by it.
      controller.abort();
    }
  }

  async #exchange(
    method: string,
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<unknown> {
    const headers = new Headers(await readHeaders(this.#headers));
    headers.set("Accept", "application/json");
    if (body !== undefined) headers.set("Content-Type", "application/json");
    const fetch = this.#fetch;
    const response = await fetch(`${this.baseUrl}${path}`, {
      method,
      headers,
      credentials: this.#credentials,
      cache: "no-store",
      signal,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const { status } = response;
    if (!response.ok) {
      const problem = await readProblem(response);
      const said = problem?.detail ?? problem?.title ?? response.statusText;
      throw new HoldfastClientError("HTTP_STATUS", `${method} ${path} → ${status} ${said}`, {
        status,
        problem,
      });
    }
    const text = await response.text();
    if (text === "") return null;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new HoldfastClientError("BAD_RESPONSE", `${method} ${path} → ${status}, but no JSON`, {
        status,
        cause,
      });
    }
  }
}

function assertTaskId(text: string): string {
  const id = parseTaskId(text);
  if (id === undefined) throw new HoldfastClientError("INVALID_OPTION", `"${text}" is no task id`);
  return id;
}

function assertBatchId(text: string): string {
  const id = parseBatchId(text);
  if (id === undefined) throw new HoldfastClientError("INVALID_OPTION", `"${text}" is no batch id`);
  return id;
}

/** The server is trusted for the shape; that it is our server at all is looked at. */
function readTask(value: unknown): Task {
  if (typeof value === "object" && value !== null && "id" in value && "status" in value) return value as Task;
  throw new HoldfastClientError("BAD_RESPONSE", "the answer is no task; does baseUrl lead to the API?");
}

function readBatch(value: unknown): Batch {
  if (typeof value === "object" && value !== null && "batchId" in value) return value as Batch;
  throw new HoldfastClientError("BAD_RESPONSE", "the answer is no batch; does baseUrl lead to the API?");
}
