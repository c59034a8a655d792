import { expect, test } from "vitest";
import { Speed } from "./speed.js";

function steady(perSecond: number, seconds: number): { speed: Speed; atMs: number } {
  const speed = new Speed(0);
  let atMs = 0;
  for (; atMs < seconds * 1_000;) {
    atMs += 50;
    speed.add(perSecond / 20, atMs);
  }
  return { speed, atMs };
}

test("a steady stream is read at its speed, from the first second on", () => {
  for (const seconds of [1, 3, 10, 60]) {
    const { speed, atMs } = steady(1_000_000, seconds);
    expect(Math.abs(speed.perSecond(atMs) / 1_000_000 - 1)).toBeLessThan(0.1);
  }
});

test("on a stall the speed decays to 0", () => {
  const { speed, atMs } = steady(1_000_000, 10);
  const readings = [1, 3, 6, 9, 15].map((seconds) => speed.perSecond(atMs + seconds * 1_000));
  expect(readings).toEqual(readings.toSorted((a, b) => b - a));
  expect(readings[3]).toBeLessThan(60_000);
  expect(readings[4]).toBe(0);
});

test("nothing sent is a speed of 0", () => {
  expect(new Speed(0).perSecond(10_000)).toBe(0);
});
