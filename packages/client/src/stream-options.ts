import { HoldfastClientError } from "./client-error.js";
import type { RequestBody } from "./connection.js";
import { SYSTEM_ENVIRONMENT, type Environment } from "./environment.js";
import { assertAtLeast, assertKnownOptions } from "./option-check.js";
import type { RequestHeaders } from "./request-headers.js";
import type { StreamMessageEvent, StreamTransport } from "./stream-event.js";

/** Key of what tests and this package's own watches pass along; not exported from the package. */
export const INTERNALS: unique symbol = Symbol("holdfast.internals");

/** @internal */
export interface StreamInternals {
  readonly environment?: Environment;
  /** Called for every event, whatever its name, before the listeners. */
  readonly onAny?: (event: StreamMessageEvent) => void;
}

export interface StableEventSourceOptions {
  readonly withCredentials?: boolean;
  /** Retries since the last sign of health before giving up; Infinity. */
  readonly maxRetries?: number;
  /** Milliseconds; base of the backoff until the server sends `retry:`. 2000. */
  readonly retryDelay?: number;
  /** An object, or a function that is asked before every attempt, and once more at once after a 401. */
  readonly headers?: RequestHeaders;
  /** How to ask, the first of them: `sse`, one response that stays; `poll`, a response for whatever is new. `["sse"]`. */
  readonly transports?: readonly StreamTransport[];
  /** Milliseconds until the answer's headers must have come; 10,000. Over `poll` on top of the 20 s that one may be held. */
  readonly connectTimeout?: number;
  /** Milliseconds without a byte after which the connection counts as dead; 2.5 × the announced heartbeat, 45,000 until one is announced. Over `poll` it is 20 s and `connectTimeout`. */
  readonly heartbeatTimeout?: number;
  /** GET. */
  readonly method?: string;
  readonly body?: RequestBody;
  readonly fetch?: typeof fetch;
  /** Closes the stream for good. */
  readonly signal?: AbortSignal;
  /** Where to start: sent as `Last-Event-ID` on the first attempt. */
  readonly lastEventId?: string;
  /** Each transition in words: to the console, or to the function. */
  readonly debug?: boolean | ((line: string) => void);
  /** @internal */
  readonly [INTERNALS]?: StreamInternals;
}

/** The options once parsed. */
export interface StreamSettings {
  readonly withCredentials: boolean;
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  readonly headers: RequestHeaders | undefined;
  readonly transport: StreamTransport;
  readonly connectTimeoutMs: number;
  /** Null: from the server's announcement. */
  readonly silenceMs: number | null;
  readonly method: string;
  readonly body: RequestBody | undefined;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal | undefined;
  readonly lastEventId: string;
  readonly debug: (line: string) => void;
  readonly environment: Environment;
  readonly onAny: (event: StreamMessageEvent) => void;
}

const KNOWN: { readonly [K in Extract<keyof StableEventSourceOptions, string>]-?: true } = {
  withCredentials: true,
  maxRetries: true,
  retryDelay: true,
  headers: true,
  transports: true,
  connectTimeout: true,
  heartbeatTimeout: true,
  method: true,
  body: true,
  fetch: true,
  signal: true,
  lastEventId: true,
  debug: true,
};

function toDebug(debug: StableEventSourceOptions["debug"]): (line: string) => void {
  if (typeof debug === "function") return debug;
  // oxlint-disable-next-line no-console -- asked for by `debug: true`
  return debug === true ? (line) => console.debug(`[holdfast] ${line}`) : () => undefined;
}

function toTransport(transports: readonly StreamTransport[]): StreamTransport {
  const known: readonly string[] = ["sse", "poll"];
  const named: readonly StreamTransport[] = Array.isArray(transports) ? transports : [];
  const [first] = named;
  if (first === undefined || named.some((name) => !known.includes(name))) {
    throw new HoldfastClientError(
      "INVALID_OPTION",
      `transports must name one or more of ${known.join(", ")}: got ${JSON.stringify(transports)}`,
    );
  }
  return first;
}

/** Throws UNKNOWN_OPTION or INVALID_OPTION. */
export function resolveStreamOptions(options: StableEventSourceOptions): StreamSettings {
  assertKnownOptions(options, KNOWN, "StableEventSource");
  const { maxRetries = Infinity, retryDelay = 2000, connectTimeout = 10_000, heartbeatTimeout } = options;
  assertAtLeast(maxRetries, 0, "maxRetries");
  assertAtLeast(retryDelay, 0, "retryDelay");
  assertAtLeast(connectTimeout, 1, "connectTimeout");
  if (heartbeatTimeout !== undefined) assertAtLeast(heartbeatTimeout, 1, "heartbeatTimeout");
  const method = (options.method ?? "GET").toUpperCase();
  if (options.body !== undefined && (method === "GET" || method === "HEAD")) {
    throw new HoldfastClientError(
      "INVALID_OPTION",
      `body can't go with method ${method}; set method: "POST"`,
    );
  }
  const lastEventId = options.lastEventId ?? "";
  if (/[\0\r\n]/.test(lastEventId)) {
    throw new HoldfastClientError("INVALID_OPTION", "lastEventId must not contain NUL, CR or LF");
  }
  const internals = options[INTERNALS] ?? {};
  return Object.freeze({
    withCredentials: options.withCredentials ?? false,
    maxRetries,
    retryDelayMs: retryDelay,
    headers: options.headers,
    transport: toTransport(options.transports ?? ["sse"]),
    connectTimeoutMs: connectTimeout,
    silenceMs: heartbeatTimeout ?? null,
    method,
    body: options.body,
    // Looked up at the call, so that a fetch patched later is used; called without a receiver, as browsers insist.
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    signal: options.signal,
    lastEventId,
    debug: toDebug(options.debug),
    environment: internals.environment ?? SYSTEM_ENVIRONMENT,
    onAny: internals.onAny ?? (() => undefined),
  });
}
