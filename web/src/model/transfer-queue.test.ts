import { expect, test } from "vitest";
import { admit, EMPTY_QUEUE, enqueue, leave, type TransferQueue } from "./transfer-queue.js";

const five = ["a", "b", "c", "d", "e"].reduce<TransferQueue>(
  (queue, key) => enqueue(queue, key),
  EMPTY_QUEUE,
);

test("three run at once, in the order they came", () => {
  const { queue, started } = admit(five);
  expect(started).toEqual(["a", "b", "c"]);
  expect(queue).toEqual({ running: ["a", "b", "c"], waiting: ["d", "e"] });
});

test("nobody starts while all places are taken", () => {
  const { queue } = admit(five);
  expect(admit(queue)).toEqual({ queue, started: [] });
});

test("a place that is left goes to the one who waits longest", () => {
  const { queue } = admit(five);
  expect(admit(leave(queue, "b"))).toEqual({
    queue: { running: ["a", "c", "d"], waiting: ["e"] },
    started: ["d"],
  });
});

test("one that was resumed goes before those that never began", () => {
  const paused = leave(admit(five).queue, "b");
  expect(enqueue(admit(paused).queue, "b", true).waiting).toEqual(["b", "e"]);
});

test("a key is in at most once", () => {
  const { queue } = admit(five);
  expect(enqueue(queue, "a")).toBe(queue);
  expect(enqueue(queue, "e", true)).toBe(queue);
});
