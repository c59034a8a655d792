/**
 * The events that StableEventSource fires. Own small classes over `Event`: a MessageEvent can't carry parsed JSON, and not every
 * place this runs has CustomEvent. Field names are those of MessageEvent, so code written for EventSource reads them unchanged.
 */
import type { Problem } from "./problem.js";
import type { StateReason, StreamStateKind } from "./stream-state.js";

export interface StreamMessage {
  readonly data: string;
  readonly lastEventId: string;
  readonly origin: string;
}

/** One event of the stream. `T` is the shape of its data once parsed; nothing checks it. */
export class StreamMessageEvent<T = unknown> extends Event {
  readonly data: string;
  readonly lastEventId: string;
  readonly origin: string;
  #json: { readonly value: T } | undefined;

  constructor(type: string, message: StreamMessage) {
    super(type);
    this.data = message.data;
    this.lastEventId = message.lastEventId;
    this.origin = message.origin;
  }

  /** `data` parsed as JSON, once. Throws SyntaxError when it is none. */
  get json(): T {
    this.#json ??= { value: JSON.parse(this.data) as T };
    return this.#json.value;
  }
}

/** How a stream comes: one response that stays, or a response for whatever is new. */
export type StreamTransport = "sse" | "poll";

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
}

export class StreamStateEvent extends Event implements StreamStateInfo {
  readonly state: StreamStateKind;
  readonly reason: StateReason;
  readonly attempt: number;
  readonly nextAttemptAt: number | null;
  readonly transport: StreamTransport;

  constructor(info: StreamStateInfo) {
    super("state");
    this.state = info.state;
    this.reason = info.reason;
    this.attempt = info.attempt;
    this.nextAttemptAt = info.nextAttemptAt;
    this.transport = info.transport;
  }
}

export interface StreamErrorInfo {
  readonly reason: StateReason;
  /** HTTP status, where an answer came. */
  readonly status: number | null;
  readonly problem: Problem | null;
  /** True: the stream is closed and nothing follows. False: a retry follows. */
  readonly terminal: boolean;
}

export class StreamErrorEvent extends Event implements StreamErrorInfo {
  readonly reason: StateReason;
  readonly status: number | null;
  readonly problem: Problem | null;
  readonly terminal: boolean;

  constructor(info: StreamErrorInfo) {
    super("error");
    this.reason = info.reason;
    this.status = info.status;
    this.problem = info.problem;
    this.terminal = info.terminal;
  }
}
