import fc from "fast-check";
import { expect, test } from "vitest";
import { ManualClock } from "./testing/manual-clock.js";
import { TimerWheel } from "./timer-wheel.js";

const never = (error: unknown): never => {
  throw error;
};

test("an entry runs once, never early and at most one tick late", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 60 }), (delays) => {
      const clock = new ManualClock();
      const wheel = new TimerWheel(clock, never);
      const ranAt: number[] = [];
      for (const [index, delay] of delays.entries()) {
        wheel.schedule(delay, () => {
          ranAt[index] = clock.now();
        });
      }
      clock.advance(61_000);
      for (const [index, delay] of delays.entries()) {
        expect(ranAt[index]).toBeGreaterThanOrEqual(delay);
        expect(ranAt[index]).toBeLessThanOrEqual(delay + 20);
      }
      expect(wheel.size).toBe(0);
    }),
  );
});

test("a cancelled entry never runs, and an empty wheel holds no timer", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, never);
  const entry = wheel.schedule(50, () => never(new Error("ran")));
  expect(clock.pending).toBe(1);
  wheel.cancel(entry);
  wheel.cancel(entry);
  expect(wheel.size).toBe(0);
  expect(clock.pending).toBe(0);
  clock.advance(100);
});

test("after a suspended process everything overdue runs at once", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, never);
  let ran = 0;
  for (let i = 0; i < 100; i += 1) wheel.schedule(i * 1_000, () => (ran += 1));
  clock.advance(10);
  // One jump of an hour: the pending timer fires late, as after a lid was closed.
  const late = new ManualClock();
  const sleepy = new TimerWheel(
    { now: () => late.now() * 1_000, after: (ms, run) => late.after(ms, run) },
    never,
  );
  let woken = 0;
  for (let i = 0; i < 100; i += 1) sleepy.schedule(i * 1_000, () => (woken += 1));
  late.advance(200);
  expect(woken).toBe(100);
  expect(ran).toBe(1);
});

test("one callback that throws does not stop the others", () => {
  const clock = new ManualClock();
  const errors: unknown[] = [];
  const wheel = new TimerWheel(clock, (error) => errors.push(error));
  let ran = false;
  wheel.schedule(10, () => never(new Error("broken")));
  wheel.schedule(10, () => (ran = true));
  clock.advance(30);
  expect(ran).toBe(true);
  expect(errors).toHaveLength(1);
});

test("an entry scheduled from a callback for now runs in the next tick, not in the same loop", () => {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, never);
  let runs = 0;
  const again = (): void => {
    runs += 1;
    if (runs < 3) wheel.schedule(clock.now(), again);
  };
  wheel.schedule(0, again);
  clock.advance(100);
  expect(runs).toBe(3);
});
