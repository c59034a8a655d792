import { expect, test } from "vitest";
import { Hub, type Listener } from "./hub.js";
import { Latest, type Milestone } from "./record.js";

const deaf = (): Listener => ({
  milestone: () => undefined,
  latest: () => undefined,
  failed: () => undefined,
});

const milestone = (position: number): Milestone => ({
  topic: "t",
  cursor: String(position),
  position,
  frame: new Uint8Array(),
  ending: false,
});

const unexpected = (error: unknown): void => {
  throw error;
};

test("a listener that throws is told that it failed and hears no more; the others and the publisher notice nothing", () => {
  const errors: unknown[] = [];
  const hub = new Hub((error) => errors.push(error));
  const heard: string[] = [];
  const broken = (name: string, thrown: Error): Listener => ({
    ...deaf(),
    milestone: ({ cursor }) => {
      heard.push(`${name} ${cursor}`);
      throw thrown;
    },
    failed: () => {
      heard.push(`${name} failed`);
      throw thrown;
    },
  });
  const thrown = new Error("full");
  const unsubscribe = hub.subscribe(["a", "b"], broken("bad", thrown));
  hub.subscribe(["a"], { ...deaf(), milestone: ({ cursor }) => heard.push(`good ${cursor}`) });
  hub.publishMilestone(["a", "b"], milestone(1));
  hub.publishMilestone(["a", "b"], milestone(2));
  expect(heard).toEqual(["bad 1", "bad failed", "good 1", "good 2"]);
  expect(errors).toEqual([thrown, thrown]);
  expect([hub.listeners("a"), hub.listeners("b")]).toEqual([1, 0]);
  unsubscribe();
  expect(hub.listeners("a")).toBe(1);
});

test("what a listener publishes from within comes to all of them after what they are being told", () => {
  const hub = new Hub(unexpected);
  const heard: string[] = [];
  const listen = (name: string, first?: () => void): void => {
    hub.subscribe(["a"], {
      ...deaf(),
      milestone: ({ position }) => {
        heard.push(`${name} ${position}`);
        if (position === 1) first?.();
      },
      latest: ({ revision }) => heard.push(`${name} latest ${revision}`),
    });
  };
  listen("one", () => {
    hub.publishLatest(["a"], new Latest("t", 7, () => new Uint8Array()));
    hub.publishMilestone(["a"], milestone(2));
  });
  listen("two");
  hub.publishMilestone(["a"], milestone(1));
  expect(heard).toEqual(["one 1", "two 1", "one latest 7", "two latest 7", "one 2", "two 2"]);
});

test("whoever observes a channel hears each time its number of listeners has changed, and only then", () => {
  const hub = new Hub(unexpected);
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
  const hub = new Hub(unexpected);
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
  const hub = new Hub(unexpected);
  let heard = 0;
  const onCount = (): void => void (heard += 1);
  const stop = hub.observe(["a"], onCount);
  hub.observe(["a"], onCount);
  stop();
  hub.subscribe(["a"], deaf());
  expect(heard).toBe(1);
});
