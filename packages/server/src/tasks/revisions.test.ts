import type { TaskId } from "@holdfast/protocol";
import { expect, test } from "vitest";
import { Revisions } from "./revisions.js";

const [a, b, c] = ["a", "b", "c"].map((id) => id as TaskId) as [TaskId, TaskId, TaskId];

test("a token tells exactly which tasks have changed since", () => {
  const revisions = new Revisions();
  revisions.changed(a);
  revisions.changed(b);
  const { token } = revisions;
  expect([a, b, c].map((id) => revisions.since(token)?.(id))).toEqual([false, false, false]);
  revisions.changed(a);
  revisions.changed(c);
  expect([a, b, c].map((id) => revisions.since(token)?.(id))).toEqual([true, false, true]);
});

test("a token of another process, of the future or of no form of ours says nothing", () => {
  const revisions = new Revisions();
  revisions.changed(a);
  const [process] = revisions.token.split(".");
  for (const token of [new Revisions().token, `${process}.2`, `${process}`, "", "7", "x.1"]) {
    expect(revisions.since(token)).toBeUndefined();
  }
});

test("memory is bounded: a token from before what is kept says nothing rather than something wrong", () => {
  const revisions = new Revisions(2);
  const before = revisions.token;
  revisions.changed(a);
  const old = revisions.token;
  revisions.changed(b);
  const kept = revisions.token;
  revisions.changed(c);
  expect(revisions.since(before)).toBeUndefined();
  expect([a, b, c].map((id) => revisions.since(old)?.(id))).toEqual([false, true, true]);
  revisions.changed(a);
  expect(revisions.since(old)).toBeUndefined();
  expect([a, b, c].map((id) => revisions.since(kept)?.(id))).toEqual([true, false, true]);
});

test("what is forgotten while a reader is being answered counts as changed", () => {
  const revisions = new Revisions(2);
  const { token } = revisions;
  revisions.changed(a);
  const changed = revisions.since(token);
  expect([a, b, c].map((id) => changed?.(id))).toEqual([true, false, false]);
  revisions.changed(b);
  revisions.changed(c);
  expect([a, b, c].map((id) => changed?.(id))).toEqual([true, true, true]);
});
