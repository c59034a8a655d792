/**
 * What ten thousand clients do when their server goes away and comes back, played with the waits that each of them draws.
 * All are cut at once, the worst there is: a killed server, not one that drains.
 */
import { describe, expect, test } from "vitest";
import { BACKOFF_CAP_MS, backoffDelayMs } from "./backoff.js";

const CLIENTS = 10_000;
const OURS = { baseMs: 1000, capMs: 5000 };
const FOREIGN = { baseMs: 2000, capMs: BACKOFF_CAP_MS };
const SHORT_S = [0, 0.1, 0.25, 0.5, 1, 1.5, 2];
const LONG_S = [3, 5, 10, 30, 60, 300];

/** Evenly spread and the same in each run: the generator of Park and Miller. */
let seed = 48_271;
function random(): number {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed / 2_147_483_647;
}

/** Milliseconds from the server's return to each client's, in order. */
function comeBack(outageMs: number, { baseMs, capMs }: typeof OURS): number[] {
  const back = Array.from({ length: CLIENTS }, () => {
    let nowMs = 0;
    for (let failures = 1; failures === 1 || nowMs < outageMs; failures += 1) {
      nowMs += backoffDelayMs({ baseMs, capMs, failures, floorMs: 0, random: random() });
    }
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
      const evenly = CLIENTS / (OURS.baseMs / 100);
      expect(count(back, 100).peak).toBeLessThan(2 * evenly);
    },
  );

  test.each(LONG_S)(
    "after %d s half are back within half the cap, and no second sees twice the mean",
    (s) => {
      const back = comeBack(s * 1000, OURS);
      expect(median(back)).toBeLessThan(OURS.capMs / 2);
      const { peak, slices } = count(back, 1000);
      expect(peak).toBeLessThan((2 * CLIENTS) / slices);
    },
  );

  test.each([...SHORT_S, ...LONG_S])(
    "of a server that announces no heartbeat half are back within half the cap after %d s",
    (s) => {
      expect(median(comeBack(s * 1000, FOREIGN))).toBeLessThan(FOREIGN.capMs / 2);
    },
  );
});
