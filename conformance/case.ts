/** What a case is: a promise about a way between client and Holdfast, and how to see whether it is kept. */
import type { Exchange, Line } from "./line.js";

/** The process that stands between; a deployment that nobody may stop has none. */
export interface ProxyControls {
  /** Stopped at once, open connections and all, and started again. */
  readonly restart: () => Promise<void>;
  /** As its manual says that a changed configuration is taken over. */
  readonly reload: () => Promise<void>;
}

export interface Way {
  /** Through everything that stands between. */
  readonly line: Line;
  /** To Holdfast itself, for producers; the same as `line` where it can't be reached otherwise. */
  readonly origin: Line;
  readonly heartbeatMs: number;
  /** Bytes of the large upload. */
  readonly largeBytes: number;
  readonly proxy?: ProxyControls;
  /** The same way, to an origin that sends nothing between events. */
  readonly silent?: { readonly line: Line; readonly origin: Line; readonly idleMs: number };
  /** The same way, to an origin that does not run. */
  readonly orphan?: Line;
}

/** `seen`: what was measured, in a few words, for the matrix. */
export interface Sighting {
  readonly ok: boolean;
  readonly seen: string;
}

export interface Case {
  readonly name: string;
  /** One sentence: what must be true. */
  readonly promise: string;
  /** What the case takes besides a line; a way without it leaves the case out. */
  readonly needs?: "proxy" | "silent" | "orphan";
  readonly run: (way: Way) => Promise<Sighting>;
}

/** Throws after so long, whatever the promise does afterwards. */
export async function within<Value>(ms: number, what: string, promise: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms / 1_000} s`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until the answer is yes; false when it was not in time. */
export async function comesTrue(
  ask: () => Promise<boolean>,
  withinMs: number,
  everyMs = 50,
): Promise<boolean> {
  const deadlineMs = performance.now() + withinMs;
  while (performance.now() < deadlineMs) {
    if (await ask()) return true;
    await pause(everyMs);
  }
  return false;
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => void setTimeout(resolve, ms));
}

/** Leaves every exchange that a case has opened, also when it throws. */
export async function leaving<Value>(
  use: (keep: <E extends Pick<Exchange, "leave">>(exchange: E) => E) => Promise<Value>,
): Promise<Value> {
  const open: Pick<Exchange, "leave">[] = [];
  try {
    return await use((exchange) => {
      open.push(exchange);
      return exchange;
    });
  } finally {
    for (const exchange of open) exchange.leave();
  }
}
