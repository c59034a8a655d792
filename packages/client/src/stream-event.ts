/**
 * The events that StableEventSource fires. Own small classes over `Event`: a MessageEvent can't carry parsed JSON, and not every
 * place this runs has CustomEvent. Field names are those of MessageEvent, so code written for EventSource reads them unchanged.
 */
import type { Loss, StateReason, StreamStateKind } from "./stream-state.js";
import type { StreamTransport } from "./transport-choice.js";

export interface StreamMessage {
  readonly data: string;
  readonly lastEventId: string;
  readonly origin: string;
}

/** One event of the stream. `T` is the shape of its data once parsed; nothing checks it. */
export class StreamMessageEvent<T = unknown> extends Event implements StreamMessage {
  declare readonly data: string;
  declare readonly lastEventId: string;
  declare readonly origin: string;
  #json: { readonly value: T } | undefined;

  constructor(type: string, message: StreamMessage) {
    super(type);
    Object.assign(this, message);
  }

  /** `data` parsed as JSON, once. Throws SyntaxError when it is none. */
  get json(): T {
    this.#json ??= { value: JSON.parse(this.data) as T };
    return this.#json.value;
  }
}

/** Where the stream stands, for a line like "reconnecting in 3 s". */
export interface StreamStateInfo {
  readonly state: StreamStateKind;
  /** Why it is there. */
  readonly reason: StateReason;
  /** Failures since the last sign of health; 0 when all is well. */
  readonly attempt: number;
  /** Unix milliseconds; null unless `state` is `waiting`. */
  readonly nextAttemptAt: number | null;
  readonly transport: StreamTransport;
  /** Milliseconds since anything came; null before the first byte. */
  readonly lastByteAgeMs: number | null;
}

export class StreamStateEvent extends Event implements StreamStateInfo {
  declare readonly state: StreamStateKind;
  declare readonly reason: StateReason;
  declare readonly attempt: number;
  declare readonly nextAttemptAt: number | null;
  declare readonly transport: StreamTransport;
  declare readonly lastByteAgeMs: number | null;
  /** The transition in words, as `debug` prints it. */
  declare readonly message: string;

  constructor(info: StreamStateInfo) {
    super("state");
    Object.assign(this, info, { message: describeState(info) });
  }
}

function describeState(info: StreamStateInfo): string {
  const { state, reason, attempt, nextAttemptAt, transport, lastByteAgeMs } = info;
  return [
    `${state} (${reason}) by ${transport}`,
    attempt > 0 && `${attempt} failed`,
    lastByteAgeMs !== null && `last byte ${lastByteAgeMs} ms ago`,
    nextAttemptAt !== null && `next attempt at ${new Date(nextAttemptAt).toISOString()}`,
  ]
    .filter(Boolean)
    .join(", ");
}

export interface StreamErrorInfo extends Loss {
  readonly reason: StateReason;
  /** True: the stream is closed and nothing follows. False: a retry follows. */
  readonly terminal: boolean;
}

export class StreamErrorEvent extends Event implements StreamErrorInfo {
  declare readonly reason: StateReason;
  declare readonly status: Loss["status"];
  declare readonly problem: Loss["problem"];
  declare readonly terminal: boolean;

  constructor(info: StreamErrorInfo) {
    super("error");
    Object.assign(this, info);
  }
}
