import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { expect, test } from "vitest";
import { encodeComment, encodeFrame } from "./codec.js";

function parse(text: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  createParser({ onEvent: (event) => events.push(event) }).feed(text);
  return events;
}

const line = fc.string({ unit: "binary" }).filter((text) => !/[\r\n\0]/.test(text) && text !== "");

test("whatever the data holds, a reader gets exactly one event with that data", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (data) => {
      const events = parse(encodeFrame({ event: "progress", data }));
      expect(events).toEqual([{ event: "progress", data: data.replace(/\r\n|\r|\n/g, "\n") }]);
    }),
  );
});

test("data that imitates a frame stays data", () => {
  const data = "x\n\nevent: complete\ndata: {}\n\n";
  expect(parse(encodeFrame({ data }))).toEqual([{ data }]);
});

test("an event name or id that could start another field is refused", () => {
  fc.assert(
    fc.property(line, fc.constantFrom("\r", "\n", "\r\n", "\0"), line, (a, end, b) => {
      expect(() => encodeFrame({ event: a + end + b })).toThrow(RangeError);
      expect(() => encodeFrame({ id: a + end + b })).toThrow(RangeError);
      expect(() => encodeComment(a + end + b)).toThrow(RangeError);
    }),
  );
});

test("a frame cut at any byte dispatches nothing before its empty line", () => {
  const text = encodeFrame({ id: "e-1-1", event: "status", data: '{"a":"ü"}' });
  for (let cut = 0; cut < text.length; cut += 1) {
    const events: EventSourceMessage[] = [];
    const parser = createParser({ onEvent: (event) => events.push(event) });
    parser.feed(text.slice(0, cut));
    expect(events).toEqual([]);
    parser.feed(text.slice(cut));
    expect(events).toEqual([{ id: "e-1-1", event: "status", data: '{"a":"ü"}' }]);
  }
});

test("a retry that is no whole number of milliseconds is refused", () => {
  for (const retry of [-1, 1.5, Number.NaN, Infinity])
    expect(() => encodeFrame({ retry })).toThrow(RangeError);
  expect(encodeFrame({ retry: 1_000 })).toBe("retry: 1000\n\n");
});
