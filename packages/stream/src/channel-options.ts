/**
 * What a channel is asked for, read once: unknown keys and values out of bounds are refused by name.
 */
import type { Clock } from "./timer-wheel.js";

export interface ChannelOptions {
  /** Makes the text of `data`; JSON.stringify. */
  readonly serialize?: (data: unknown) => string;
  /** Published events held for readers that come back; 1,000. */
  readonly historyEvents?: number;
  /** Bytes of those, whichever bound is met first; 1 MiB. A single event may not be larger. */
  readonly historyBytes?: number;
  /** Bytes of the states of all topics, and of the topics' names; 1 MiB. */
  readonly stateBytes?: number;
  /** A comment that often, so that proxies and clients see a living connection; 15,000. */
  readonly heartbeatMs?: number;
  /** At most one state of a topic on a connection in this time, the newest; 250. */
  readonly progressIntervalMs?: number;
  /** Bytes a connection may hold above the kernel's buffers before it is closed as `slow-consumer`; 65,536. */
  readonly maxQueueBytes?: number;
  /** A connection older than this ends and comes back; 30 minutes. */
  readonly maxStreamAgeMs?: number;
  /** After what time a reader comes back; 1,000. */
  readonly reconnectMs?: number;
  /** Names this life of the process in cursors; drawn unless given. Letters and digits, never the same twice. */
  readonly epoch?: string;
  /** Told of what a callback threw; it is thrown again from a microtask unless given, as an uncaught exception. */
  readonly onError?: (error: unknown) => void;
  readonly clock?: Clock;
  /** 0 ≤ x < 1. */
  readonly random?: () => number;
}

type Numbers = {
  readonly [K in keyof ChannelOptions as NonNullable<ChannelOptions[K]> extends number ? K : never]-?: number;
};

/** Every number a channel is bounded by. */
export type ChannelBounds = Numbers;

const DEFAULTS: ChannelBounds = {
  historyEvents: 1_000,
  historyBytes: 1_048_576,
  stateBytes: 1_048_576,
  heartbeatMs: 15_000,
  progressIntervalMs: 250,
  maxQueueBytes: 65_536,
  maxStreamAgeMs: 30 * 60_000,
  reconnectMs: 1_000,
};

// Days beyond any stream; a larger number is a mistake in the unit.
const MAX_MS = 30 * 24 * 3_600_000;
const ZERO_ALLOWED: ReadonlySet<string> = new Set(["progressIntervalMs", "reconnectMs"]);
const OTHERS: ReadonlySet<string> = new Set(["serialize", "epoch", "onError", "clock", "random"]);

/** The numbers with their defaults. Throws RangeError with the option's name, what it got and its bound. */
export function resolveBounds(options: ChannelOptions): ChannelBounds {
  const bounds: Record<keyof ChannelBounds, number> = { ...DEFAULTS };
  for (const [name, value] of Object.entries(options)) {
    if (OTHERS.has(name) || value === undefined) continue;
    if (!isBound(name)) {
      throw new RangeError(
        `unknown option: got ${name}, bound ${[...Object.keys(DEFAULTS), ...OTHERS].join(", ")}; check its spelling`,
      );
    }
    const least = ZERO_ALLOWED.has(name) ? 0 : 1;
    const most = name.endsWith("Ms") ? MAX_MS : Number.MAX_SAFE_INTEGER;
    if (!Number.isSafeInteger(value) || value < least || value > most) {
      throw new RangeError(`${name} must be a whole number: got ${String(value)}, bound ${least} to ${most}`);
    }
    bounds[name] = value;
  }
  if (options.epoch !== undefined && !/^[A-Za-z0-9]{1,64}$/.test(options.epoch)) {
    throw new RangeError(`epoch must be 1 to 64 letters and digits: got ${JSON.stringify(options.epoch)}`);
  }
  return bounds;
}

function isBound(name: string): name is keyof ChannelBounds {
  return Object.hasOwn(DEFAULTS, name);
}
