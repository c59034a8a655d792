import { expect, test } from "vitest";
import { readToken, takeToken, toAuthorization, toScope, toTokenLink } from "./access-token.js";
import { createMemoryStorage } from "./page-storage.js";

test("the token leaves the fragment, the rest stays", () => {
  expect(takeToken("#token=abc&x=1")).toEqual({ token: "abc", rest: "#x=1" });
  expect(takeToken("#token=abc")).toEqual({ token: "abc", rest: "" });
  expect(takeToken("#part")).toEqual({ token: null, rest: "#part" });
});

test("a reload of the tab finds the token again", () => {
  const session = createMemoryStorage();
  const fragments: string[] = [];
  expect(readToken("#token=abc", session, (rest) => fragments.push(rest))).toBe("abc");
  expect(readToken("", session, (rest) => fragments.push(rest))).toBe("abc");
  expect(fragments).toEqual([""]);
});

test("calls carry it as Bearer, links in their query, and without one neither", () => {
  expect(toAuthorization("abc")).toEqual({ Authorization: "Bearer abc" });
  expect(toAuthorization(null)).toEqual({});
  expect(toTokenLink("/c", "a+b")).toBe("/c?token=a%2Bb");
  expect(toTokenLink("/c?x=1", "abc")).toBe("/c?x=1&token=abc");
  expect(toTokenLink("/c", null)).toBe("/c");
});

test("tabs share by what their token says, never by a token that says nothing", () => {
  expect(toScope(null)).toBe("");
  expect(toScope("head.claims.signature")).toBe("claims");
  expect(toScope("opaque")).toBeNull();
});
