/** A cut at another byte than the one that was asked for would leave boundaries untried. */
import { expect, test } from "vitest";
import { afterBytes, afterFrames, afterNews, atEnding, type Cut } from "./cutting-proxy.js";

const STREAM =
  "HTTP/1.1 200 OK\r\n\r\nevent: connected\nid: e-1-1\ndata: {}\n\nevent: progress\ndata: {}\n\nevent: complete\ndata: {}\n\n";

/** How many bytes pass when the stream comes in pieces of that size; undefined when all of them do. */
function passing(cut: Cut, size: number): number | undefined {
  for (let at = 0; at < STREAM.length; at += size) {
    const count = cut(Buffer.from(STREAM.slice(at, at + size)));
    if (count !== undefined) return at + count;
  }
  return undefined;
}

const ends = [...STREAM.matchAll(/\n\n/g)].map(({ index }) => index + 2);

test.each([1, 2, 3, 7, STREAM.length])("cuts are at their byte, also in pieces of %i", (size) => {
  for (const count of [1, 20, 41, STREAM.length]) expect(passing(afterBytes(count), size)).toBe(count);
  expect(ends.map((_end, at) => passing(afterFrames(at + 1), size))).toEqual(ends);
  expect(passing(afterFrames(ends.length + 1), size)).toBeUndefined();
  expect(passing(afterNews(), size)).toBe(ends[1]);
});

test("an ending is cut before, within, and right behind it", () => {
  const start = STREAM.indexOf("event: complete");
  expect(passing(atEnding("before"), STREAM.length)).toBe(start);
  expect(passing(atEnding("within"), STREAM.length)).toBe(start + 10);
  expect(passing(atEnding("behind"), STREAM.length)).toBe(STREAM.length);
});
