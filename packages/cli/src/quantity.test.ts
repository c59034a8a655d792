import fc from "fast-check";
import { expect, test } from "vitest";
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.js";

const whole = fc.maxSafeNat();

test("a duration that is written is read back as the same milliseconds", () => {
  fc.assert(
    fc.property(whole, (ms) => {
      expect(parseDuration(formatDuration(ms))).toBe(ms);
    }),
  );
});

test("a size that is written is read back as the same bytes", () => {
  fc.assert(
    fc.property(whole, (bytes) => {
      expect(parseSize(formatSize(bytes))).toBe(bytes);
    }),
  );
});

test("whatever the text, the result is a whole number that is not negative, or nothing", () => {
  const number = fc.oneof(fc.maxSafeNat().map(String), fc.double().map(String), fc.string());
  const unit = fc.oneof(fc.constantFrom("ms", "s", "min", "h", "d", "B", "KiB", "GB"), fc.string());
  fc.assert(
    fc.property(number, unit, (digits, suffix) => {
      for (const parsed of [parseDuration(digits + suffix), parseSize(digits + suffix)]) {
        expect(parsed === undefined || (Number.isSafeInteger(parsed) && parsed >= 0)).toBe(true);
      }
    }),
  );
});

test.each([
  ["250ms", 250],
  ["10s", 10_000],
  ["1.5h", 5_400_000],
  ["30min", 1_800_000],
  ["7d", 604_800_000],
  [" 10 s ", 10_000],
  ["0s", 0],
])("the duration %j is %d ms", (text, ms) => {
  expect(parseDuration(text)).toBe(ms);
});

test.each([
  ["5GiB", 5 * 2 ** 30],
  ["64MB", 64_000_000],
  ["5gib", 5 * 2 ** 30],
  ["0.5KiB", 512],
  ["1B", 1],
])("the size %j is %d bytes", (text, bytes) => {
  expect(parseSize(text)).toBe(bytes);
});

test.each([
  "",
  "10",
  "s",
  "-1s",
  "+1s",
  "1e3s",
  "1h30min",
  "10 m",
  "10M",
  "0.5ms",
  "1,5s",
  "99999999999d",
  "10toString",
])("%j is no duration", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test.each(["", "10", "GiB", "-1B", "0.3B", "10s", "9999999TiB", "1 constructor"])("%j is no size", (text) => {
  expect(parseSize(text)).toBeUndefined();
});

test("the largest unit that divides it is written", () => {
  expect([90_000, 120_000, 86_400_000, 0, 1].map(formatDuration)).toEqual([
    "90s",
    "2min",
    "1d",
    "0ms",
    "1ms",
  ]);
  expect([268_435_456, 64_000_000, 0, 1_025].map(formatSize)).toEqual(["256MiB", "64MB", "0B", "1025B"]);
});
