import type { RequestBody } from "./connection.js";
import { SYSTEM_ENVIRONMENT, UNREF_ENVIRONMENT, type Environment } from "./environment.js";
import { assertAtLeast, assertOption, mergeOptions } from "./option-check.js";
import type { RequestHeaders } from "./request-headers.js";
import type { StreamMessageEvent } from "./stream-event.js";
import type { StreamSource } from "./stream-source.js";
import type { StreamTransport } from "./transport-choice.js";

/** Key of what tests and this package's own watches pass along; not exported from the package. */
export const INTERNALS: unique symbol = Symbol("holdfast.internals");

/** @internal */
export interface StreamInternals {
  readonly environment?: Environment;
  /** Called for every event, whatever its name, before the listeners. */
  readonly onAny?: (event: StreamMessageEvent) => void;
  /** Of a watch: what gives it its stream, instead of one of its own. */
  readonly openShared?: (onAny: (event: StreamMessageEvent) => void) => StreamSource;
}

export interface StableEventSourceOptions {
  readonly withCredentials?: boolean;
  /** Retries since the last sign of health before giving up; Infinity. */
  readonly maxRetries?: number;
  /** Milliseconds; base of the backoff until the server sends `retry:`. 2000. */
  readonly retryDelay?: number;
  /** An object, or a function that is asked before every attempt, and once more at once after a 401. */
  readonly headers?: RequestHeaders;
  /**
   * How to ask, best first: `sse`, one response that stays; `poll`, a response for whatever is new. `["sse"]`; of a watch `["sse", "poll"]`:
   * where a proxy holds streams back it steps down to polls and probes back up. Only a Holdfast server knows polls, and with them its
   * promise that a first byte comes at once is relied on.
   */
  readonly transports?: readonly StreamTransport[];
  /** Milliseconds until the answer's headers must have come; 10,000. Over `poll` on top of the time that one may be held. */
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
  /** Node: a pending retry does not keep the process alive. */
  readonly unref?: boolean;
  /** @internal */
  readonly [INTERNALS]?: StreamInternals;
}

/** Those that have no default may be undefined. */
type Optional = "body" | "headers" | "signal" | "heartbeatTimeout";
type Named = Omit<StableEventSourceOptions, typeof INTERNALS>;

/** The options once parsed. */
export type StreamSettings = Required<Omit<Named, Optional>> & {
  readonly [K in Optional]: Named[K] | undefined;
} & { readonly environment: Environment; readonly onAny: (event: StreamMessageEvent) => void };

/** Every option there is, with what stands for it when it is left out. */
export const STREAM_DEFAULTS: Omit<StreamSettings, "environment" | "onAny"> = {
  withCredentials: false,
  maxRetries: Infinity,
  retryDelay: 2000,
  headers: undefined,
  transports: ["sse"],
  connectTimeout: 10_000,
  heartbeatTimeout: undefined,
  method: "GET",
  body: undefined,
  // Looked up at the call, so that a fetch patched later is used; called without a receiver, as browsers insist.
  fetch: (input, init) => globalThis.fetch(input, init),
  signal: undefined,
  lastEventId: "",
  debug: false,
  unref: false,
};

const TRANSPORTS: readonly unknown[] = ["sse", "poll"];

/** Throws UNKNOWN_OPTION or INVALID_OPTION. */
export function resolveStreamOptions(options: StableEventSourceOptions): StreamSettings {
  const merged = mergeOptions(STREAM_DEFAULTS, options, "StableEventSource");
  const { transports, body, lastEventId } = merged;
  const method = merged.method.toUpperCase();
  assertAtLeast(merged, 0, "maxRetries", "retryDelay");
  assertAtLeast(merged, 1, "connectTimeout", "heartbeatTimeout");
  assertOption(
    Array.isArray(transports) &&
      transports.length > 0 &&
      transports.every((name) => TRANSPORTS.includes(name)),
    `transports must name one or more of ${TRANSPORTS.join(", ")}: got ${JSON.stringify(transports)}`,
  );
  assertOption(
    body === undefined || !/^(GET|HEAD)$/.test(method),
    `body can't go with ${method}; set method: "POST"`,
  );
  assertOption(!/[\0\r\n]/.test(lastEventId), "lastEventId must not contain NUL, CR or LF");
  return {
    ...merged,
    method,
    environment: toEnvironment(options),
    onAny: options[INTERNALS]?.onAny ?? (() => undefined),
  };
}

/** The clock, chance and timers that these options ask for. */
export function toEnvironment(
  options: Pick<StableEventSourceOptions, "unref" | typeof INTERNALS>,
): Environment {
  return options[INTERNALS]?.environment ?? (options.unref === true ? UNREF_ENVIRONMENT : SYSTEM_ENVIRONMENT);
}
