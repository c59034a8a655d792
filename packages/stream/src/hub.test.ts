import { expect, test } from "vitest";
import { Hub, type Listener } from "./hub.js";

const deaf = (): Listener => ({ milestone: () => undefined, latest: () => undefined });

test("whoever observes a channel hears each time its number of listeners has changed, and only then", () => {
  const hub = new Hub();
  const counts: number[] = [];
  const stop = hub.observe(["a"], () => counts.push(hub.listeners("a")));
  const first = hub.subscribe(["a", "b"], deaf());
  const second = hub.subscribe(["a"], deaf());
  hub.subscribe(["b"], deaf());
  first();
  first(); // twice is harmless
  second();
  expect(counts).toEqual([1, 2, 1, 0]);
  stop();
  hub.subscribe(["a"], deaf());
  expect(counts).toHaveLength(4);
});

test("an observer may stop observing from within, and the others still hear", () => {
  const hub = new Hub();
  const heard: string[] = [];
  const stop = hub.observe(["a"], () => {
    heard.push("once");
    stop();
  });
  hub.observe(["a"], () => heard.push("always"));
  hub.subscribe(["a"], deaf())();
  expect(heard).toEqual(["once", "always", "always"]);
});

test("the same callback given twice is two observers", () => {
  const hub = new Hub();
  let heard = 0;
  const onCount = (): void => void (heard += 1);
  const stop = hub.observe(["a"], onCount);
  hub.observe(["a"], onCount);
  stop();
  hub.subscribe(["a"], deaf());
  expect(heard).toBe(1);
});
