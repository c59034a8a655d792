import type { EventSourceMessage } from "eventsource-parser";
import { expect, test } from "vitest";
import { HeartbeatProof } from "./heartbeat-proof.js";

const at = (sequence: number): string => `e-1700000000000-${sequence}`;
const connected = (sequence: number): EventSourceMessage => ({
  event: "connected",
  id: at(sequence),
  data: "{}",
});
const milestone = (sequence: number): EventSourceMessage => ({
  event: "stage",
  id: at(sequence),
  data: "{}",
});
const heartbeat = (cursor: unknown): EventSourceMessage => ({
  event: "heartbeat",
  id: undefined,
  data: JSON.stringify({ cursor }),
});

function judge(...messages: EventSourceMessage[]): boolean[] {
  const proof = new HeartbeatProof();
  return messages.map((message) => proof.holds(message));
}

test("a heartbeat that names the last event that came proves that nothing was lost", () => {
  expect(judge(connected(4), heartbeat(at(4)), milestone(7), heartbeat(at(7)))).not.toContain(false);
});

test("a heartbeat that names another is a loss", () => {
  expect(judge(connected(4), heartbeat(at(5)))).toEqual([true, false]);
  expect(judge(connected(4), milestone(5), heartbeat(at(6)))).toEqual([true, true, false]);
});

test("a foreign stream is not judged, nor a heartbeat that names nothing", () => {
  expect(judge({ event: "connected", id: "7", data: "{}" }, heartbeat(at(5)))).not.toContain(false);
  expect(judge(milestone(3), heartbeat(at(5)))).not.toContain(false);
  expect(judge(connected(4), heartbeat(undefined), { ...heartbeat(""), data: "tick" })).not.toContain(false);
});
