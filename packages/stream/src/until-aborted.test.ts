import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { untilAborted } from "./until-aborted.js";

/** Gives so many values, then waits for ever; counts how often it is told that nothing more is wanted. */
class Waiting implements AsyncIterator<number>, AsyncIterable<number> {
  told = 0;
  #left: number;

  constructor(values: number) {
    this.#left = values;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<number>> {
    this.#left -= 1;
    return this.#left >= 0 ? { done: false, value: this.#left } : await new Promise(() => undefined);
  }

  async return(): Promise<IteratorResult<number>> {
    this.told += 1;
    return { done: true, value: undefined };
  }
}

test("a source that waits is left when any of the signals aborts, and told so once", async () => {
  const source = new Waiting(2);
  const [one, other] = [new AbortController(), new AbortController()];
  const got: number[] = [];
  for await (const value of untilAborted(source, [one.signal, other.signal])) {
    got.push(value);
    if (value === 0) queueMicrotask(() => other.abort());
  }
  expect(got).toEqual([1, 0]);
  expect(source.told).toBe(1);
  expect(getEventListeners(one.signal, "abort")).toHaveLength(0);
});

test("nothing is asked of a source when a signal has aborted before", async () => {
  const source = new Waiting(1);
  for await (const value of untilAborted(source, [AbortSignal.abort()])) throw new Error(`got ${value}`);
  expect(source.told).toBe(1);
});

test("what a source throws reaches the reader; one that has ended, or thrown, is told nothing", async () => {
  let told = 0;
  const failing = {
    [Symbol.iterator]: () => ({
      next: (): IteratorResult<number> => {
        throw new Error("broken");
      },
      return: () => {
        told += 1;
        return { done: true as const, value: undefined };
      },
    }),
  };
  await expect(untilAborted(failing, []).next()).rejects.toThrow("broken");
  const got: number[] = [];
  for await (const value of untilAborted([Promise.resolve(1), 2], [])) got.push(value);
  expect(got).toEqual([1, 2]);
  expect(told).toBe(0);
});
