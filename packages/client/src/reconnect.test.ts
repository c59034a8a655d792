/**
 * What ten thousand clients do when their server goes away and comes back, played with the machine that each of them runs and no clock.
 * All are cut at once, the worst there is: a killed server, not one that drains.
 */
import { describe, expect, test } from "vitest";
import { BACKOFF_CAP_MS } from "./backoff.js";
import { initialState, step, type StepContext } from "./stream-state.js";

const CLIENTS = 10_000;
const OURS = { retryDelayMs: 1000, backoffCapMs: 5000 };
const FOREIGN = { retryDelayMs: 2000, backoffCapMs: BACKOFF_CAP_MS };
const SHORT_S = [0.25, 1, 2];
const LONG_S = [3, 10, 30];

/** Evenly spread and the same in each run: the generator of Park and Miller. */
let seed = 48_271;
function random(): number {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed / 2_147_483_647;
}

/** Milliseconds from the server's return to each client's, in order. */
function comeBack(outageMs: number, server: Pick<StepContext, "retryDelayMs" | "backoffCapMs">): number[] {
  const back = Array.from({ length: CLIENTS }, () => {
    const context = { ...server, maxRetries: Infinity, canRefresh: false, canStepDown: true };
    let nowMs = 0;
    let state = initialState({ transport: "sse", mute: 0, pollUntilMs: 0 });
    const take = (input: Parameters<typeof step>[1]): void => {
      state = step(state, input, { ...context, nowMs, random: random() });
    };
    take({ kind: "start" });
    take({ kind: "opened" });
    do {
      take({ kind: "lost", reason: "network", status: null, problem: null, retryAfterMs: 0 });
      nowMs = state.nextAttemptAtMs ?? Infinity;
      take({ kind: "timer" });
    } while (nowMs < outageMs);
    return nowMs - outageMs;
  });
  return back.toSorted((a, b) => a - b);
}

const median = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? NaN;

/** The most that come within one slice, and how many slices there are from the first to the last. */
function count(sorted: readonly number[], sliceMs: number): { peak: number; slices: number } {
  const slices = new Map<number, number>();
  for (const ms of sorted) {
    const slice = Math.floor(ms / sliceMs);
    slices.set(slice, (slices.get(slice) ?? 0) + 1);
  }
  return { peak: Math.max(...slices.values()), slices: Math.max(...slices.keys()) + 1 };
}

describe("ten thousand clients", () => {
  test.each(SHORT_S)(
    "after %d s half are back within a second, at most twice as dense as evenly over one retry:",
    (s) => {
      const back = comeBack(s * 1000, OURS);
      expect(median(back)).toBeLessThan(1000);
      const evenly = CLIENTS / (OURS.retryDelayMs / 100);
      expect(count(back, 100).peak).toBeLessThan(2 * evenly);
    },
  );

  test.each(LONG_S)(
    "after %d s half are back within half the cap, and no second sees twice the mean",
    (s) => {
      const back = comeBack(s * 1000, OURS);
      expect(median(back)).toBeLessThan(OURS.backoffCapMs / 2);
      const { peak, slices } = count(back, 1000);
      expect(peak).toBeLessThan((2 * CLIENTS) / slices);
    },
  );

  test.each([...SHORT_S, ...LONG_S])(
    "of a server that announces no heartbeat half are back within half the cap after %d s",
    (s) => {
      expect(median(comeBack(s * 1000, FOREIGN))).toBeLessThan(FOREIGN.backoffCapMs / 2);
    },
  );
});
