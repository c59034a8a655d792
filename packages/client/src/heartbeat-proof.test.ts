import type { EventSourceMessage } from "eventsource-parser";
import { expect, test } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import { HeartbeatProof } from "./heartbeat-proof.js";
import { frame, LocalServer, stream } from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import { INTERNALS } from "./stream-options.js";

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

test("an event that was lost on the way is missed at the next heartbeat, and asked for again", async () => {
  const hello = frame("connected", {}, "e-1-4");
  const server = await LocalServer.start(
    stream(hello + frame("heartbeat", { cursor: "e-1-5" })),
    stream(hello + frame("stage", {}, "e-1-5")),
  );
  const environment = { ...SYSTEM_ENVIRONMENT, random: () => 0 };
  const source = new StableEventSource(server.url, { [INTERNALS]: { environment } });
  try {
    const reasons: string[] = [];
    source.addEventListener("state", ({ reason }) => void reasons.push(reason));
    await new Promise((resolve) => source.addEventListener("stage", resolve));
    expect(reasons).toContain("missed");
    expect(server.requests[1]?.headers["last-event-id"]).toBe("e-1-4");
  } finally {
    source.close();
    await server.stop();
  }
});
