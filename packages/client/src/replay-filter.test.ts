import { expect, test } from "vitest";
import { ReplayFilter } from "./replay-filter.js";
import { cursor } from "./task.test.kit.js";

test("on our own stream a milestone is accepted once, over reconnects", () => {
  const filter = new ReplayFilter();
  filter.begin();
  expect(filter.accept("connected", cursor(1))).toBe(true);
  expect(filter.accept("stage", cursor(2))).toBe(true);
  filter.begin();
  expect(filter.accept("connected", cursor(2))).toBe(true);
  expect(filter.accept("stage", cursor(1))).toBe(false);
  expect(filter.accept("stage", cursor(2))).toBe(false);
  expect(filter.accept("stage", cursor(3))).toBe(true);
});

test("what carries no id always passes", () => {
  const filter = new ReplayFilter();
  filter.begin();
  filter.accept("connected", cursor(9));
  expect(filter.accept("progress", undefined)).toBe(true);
  expect(filter.accept("progress", undefined)).toBe(true);
});

test.each([
  ["without connected", "note", cursor(9)],
  ["with a connected that has no cursor", "connected", "41"],
  ["with a connected that has no id", "connected", undefined],
])("on a foreign stream, %s, every event passes", (_name, type, id) => {
  const filter = new ReplayFilter();
  filter.begin();
  expect(filter.accept(type, id)).toBe(true);
  expect(filter.accept("note", cursor(3))).toBe(true);
  expect(filter.accept("note", cursor(3))).toBe(true);
  expect(filter.accept("note", cursor(2))).toBe(true);
});

test("a new epoch begins anew", () => {
  const filter = new ReplayFilter();
  filter.begin();
  filter.accept("connected", cursor(8));
  filter.begin();
  expect(filter.accept("connected", "xyz-1-0")).toBe(true);
  expect(filter.accept("stage", "xyz-2-1")).toBe(true);
  expect(filter.accept("stage", "xyz-2-1")).toBe(false);
});

test("a connection that turns out foreign is not filtered by what an earlier one saw", () => {
  const filter = new ReplayFilter();
  filter.begin();
  filter.accept("connected", cursor(8));
  filter.begin();
  filter.accept("message", undefined);
  expect(filter.accept("stage", cursor(2))).toBe(true);
});

test("a server that begins before what was seen is believed: its store was put back", () => {
  const filter = new ReplayFilter();
  filter.begin();
  filter.accept("connected", cursor(3));
  expect(filter.accept("stage", cursor(13))).toBe(true);
  filter.begin();
  expect(filter.accept("connected", cursor(3))).toBe(true);
  expect(filter.accept("stage", cursor(4))).toBe(true);
  expect(filter.accept("stage", cursor(4))).toBe(false);
});
