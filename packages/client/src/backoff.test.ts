import fc from "fast-check";
import { expect, test } from "vitest";
import { BACKOFF_CAP_MS, backoffDelayMs, parseRetryAfterMs } from "./backoff.js";

test("a delay lies between the floor and the ceiling, for every input", () => {
  fc.assert(
    fc.property(
      fc.nat(100_000),
      fc.integer({ min: 1, max: 2000 }),
      fc.nat(3_600_000),
      fc.double({ min: 0, max: 0.999_999, noNaN: true }),
      (baseMs, failures, floorMs, random) => {
        const delayMs = backoffDelayMs({ baseMs, failures, floorMs, random });
        expect(delayMs).toBeGreaterThanOrEqual(floorMs);
        expect(delayMs).toBeLessThanOrEqual(
          Math.max(BACKOFF_CAP_MS, floorMs + Math.min(baseMs, BACKOFF_CAP_MS)),
        );
      },
    ),
  );
});

test("clients told the same Retry-After are spread behind it", () => {
  const delays = [0, 0.25, 0.5, 0.75].map((random) =>
    backoffDelayMs({ baseMs: 1000, failures: 1, floorMs: 5000, random }),
  );
  expect(delays).toEqual([5000, 5250, 5500, 5750]);
});

test("Retry-After is read in seconds and as a date, bounded by an hour", () => {
  const now = Date.parse("Wed, 21 Oct 2026 07:28:00 GMT");
  expect(parseRetryAfterMs("120", now)).toBe(120_000);
  expect(parseRetryAfterMs("Wed, 21 Oct 2026 07:28:09 GMT", now)).toBe(9000);
  expect(parseRetryAfterMs("Wed, 21 Oct 2026 07:00:00 GMT", now)).toBe(0);
  expect(parseRetryAfterMs("999999999999", now)).toBe(3_600_000);
  expect(parseRetryAfterMs("soon", now)).toBe(0);
  expect(parseRetryAfterMs(null, now)).toBe(0);
});
