import { assertKnownOptions } from "./option-check.js";
import type { StreamStateInfo } from "./stream-event.js";
import { INTERNALS, type StableEventSourceOptions } from "./stream-options.js";
import type { WatchEvent } from "./watch-event.js";

/** How the connection of a watch stands; a new object whenever something changed. */
export interface ConnectionInfo extends StreamStateInfo {
  /** Unix milliseconds at which the last heartbeat came; null before the first. */
  readonly lastHeartbeatAtMs: number | null;
}

export interface WatchOptions extends Omit<StableEventSourceOptions, "method" | "body" | "lastEventId"> {
  /** Where the API lives, with its base path; `/api/v1` of the page. */
  readonly baseUrl?: string | URL;
  /** Every event, after the view has taken it in. */
  readonly onEvent?: (event: WatchEvent) => void;
  /** Every change of the connection. */
  readonly onConnection?: (connection: ConnectionInfo) => void;
}

const KNOWN: { readonly [K in Extract<keyof WatchOptions, string>]-?: true } = {
  baseUrl: true,
  onEvent: true,
  onConnection: true,
  withCredentials: true,
  maxRetries: true,
  retryDelay: true,
  headers: true,
  transports: true,
  connectTimeout: true,
  heartbeatTimeout: true,
  fetch: true,
  signal: true,
  debug: true,
};

/** What of the options belongs to the stream. Throws UNKNOWN_OPTION. */
export function toStreamOptions(options: WatchOptions, where: string): StableEventSourceOptions {
  assertKnownOptions(options, KNOWN, where);
  const { baseUrl: _baseUrl, onEvent: _onEvent, onConnection: _onConnection, ...stream } = options;
  const internals = options[INTERNALS];
  return internals === undefined ? stream : { ...stream, [INTERNALS]: internals };
}
