import { assertKnownOptions } from "./option-check.js";
import type { StreamStateInfo } from "./stream-event.js";
import { STREAM_DEFAULTS, type StableEventSourceOptions } from "./stream-options.js";
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

const { method: _method, body: _body, lastEventId: _lastEventId, ...STREAM } = STREAM_DEFAULTS;
const KNOWN = { ...STREAM, baseUrl: true, onEvent: true, onConnection: true };

/** What of the options belongs to the stream, which is one of ours. Throws UNKNOWN_OPTION. */
export function toStreamOptions(options: WatchOptions, where: string): StableEventSourceOptions {
  assertKnownOptions(options, KNOWN, where);
  const { baseUrl: _baseUrl, onEvent: _onEvent, onConnection: _onConnection, ...stream } = options;
  return { ...stream, transports: options.transports ?? ["sse", "poll"] };
}
