import type { TaskId } from "@holdfast/protocol";
import { expect, test } from "vitest";
import { mergeDeliveries, NO_DELIVERIES, type Delivery, type DeliveryEntry } from "./delivery-log.js";

function entry(connectionId: string, fields: Partial<Delivery> = {}, isNew = true): DeliveryEntry {
  const delivery: Delivery = {
    connectionId,
    transport: "sse",
    outcome: "sent",
    openedAtMs: 1,
    sentAtMs: 2,
    closedAtMs: null,
    flushed: null,
    reason: null,
    ...fields,
  };
  return { taskId: "t" as TaskId, delivery, isNew };
}

test("the newest come first, each connection once, and its end replaces what was known of it", () => {
  const first = mergeDeliveries(NO_DELIVERIES, [entry("a"), entry("b")]);
  const { sent, items } = mergeDeliveries(first, [
    entry("c"),
    entry("a", { closedAtMs: 3, reason: "completed", flushed: true }, false),
  ]);
  expect(sent).toBe(3);
  expect(items.map(({ connectionId, reason }) => [connectionId, reason])).toEqual([
    ["c", null],
    ["b", null],
    ["a", "completed"],
  ]);
});

test("a hundred of each outcome are listed and all are counted; one kind does not push out the other", () => {
  const sent = Array.from({ length: 150 }, (_, index) => entry(`s${index}`));
  const acknowledged = Array.from({ length: 500 }, (_, index) =>
    entry(`a${index}`, { outcome: "acknowledged" }),
  );
  const log = mergeDeliveries(mergeDeliveries(NO_DELIVERIES, sent), acknowledged);
  expect([log.sent, log.acknowledged, log.items.length]).toEqual([150, 500, 200]);
  expect(log.items.at(0)?.connectionId).toBe("a499");
  expect(log.items.at(-1)?.connectionId).toBe("s50");
  // The end of one that is no longer listed changes nothing.
  expect(mergeDeliveries(log, [entry("s0", { reason: "completed" }, false)])).toEqual(log);
});
