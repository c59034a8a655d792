import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { SYSTEM_ENVIRONMENT, UNREF_ENVIRONMENT } from "./environment.js";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

test.each([0, 1, 1999, 2000, 2001, 30_000, 3_600_000])("a timer of %i ms fires once, then", (delayMs) => {
  const fired: number[] = [];
  SYSTEM_ENVIRONMENT.setTimer(() => fired.push(Date.now() - 1_000_000), delayMs);
  vi.advanceTimersByTime(Math.max(0, delayMs - 1));
  expect(fired).toEqual(delayMs === 0 ? [0] : []);
  vi.advanceTimersByTime(1);
  vi.advanceTimersByTime(10_000);
  expect(fired).toEqual([delayMs]);
  expect(vi.getTimerCount()).toBe(0);
});

test("a machine that slept finds a wait that is over within two seconds of waking", () => {
  const fired = vi.fn<() => void>();
  SYSTEM_ENVIRONMENT.setTimer(fired, 30_000);
  vi.advanceTimersByTime(1000);
  // The time of day goes on, the clock of timers does not.
  vi.setSystemTime(Date.now() + 3_600_000);
  vi.advanceTimersByTime(1000);
  expect(fired).toHaveBeenCalledOnce();
});

test("a clock that is set back makes no wait longer", () => {
  const fired = vi.fn<() => void>();
  SYSTEM_ENVIRONMENT.setTimer(fired, 10_000);
  vi.advanceTimersByTime(1000);
  vi.setSystemTime(0);
  vi.advanceTimersByTime(9000);
  expect(fired).toHaveBeenCalledOnce();
});

test("cancelled, in whatever slice, it never fires and leaves nothing", () => {
  const fired = vi.fn<() => void>();
  const cancel = UNREF_ENVIRONMENT.setTimer(fired, 10_000);
  vi.advanceTimersByTime(5000);
  cancel();
  expect(vi.getTimerCount()).toBe(0);
  vi.advanceTimersByTime(20_000);
  expect(fired).not.toHaveBeenCalled();
});
