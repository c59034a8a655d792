import { expect, test } from "vitest";
import { createFormatters } from "./formatters.js";

const en = createFormatters("en");
const zh = createFormatters("zh-CN");

test.each([
  [0, "0 bytes"],
  [1, "1 byte"],
  [999, "999 bytes"],
  [1000, "1.00 kB"],
  [12_340, "12.3 kB"],
  [999_499_999, "999 MB"],
  [999_999_999, "1.00 GB"],
  [1_073_741_824, "1.07 GB"],
])("%d bytes read as %s", (count, text) => {
  expect(en.bytes(count)).toBe(text);
});

test.each([
  [0.2, "1 sec"],
  [59.1, "1 min"],
  [125, "2 min 5 sec"],
  [3600, "1 hr"],
  [90_000, "1 day 1 hr"],
])("%d seconds read as %s", (seconds, text) => {
  expect(en.duration(seconds)).toBe(text);
});

test("Chinese writes durations without a space between the parts", () => {
  expect(zh.duration(125)).toBe("2分钟5秒");
});

test("a percentage is cut, not rounded: 99.9 is not 100", () => {
  expect(en.percent(99.9)).toBe("99%");
});
