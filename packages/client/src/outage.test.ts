import { expect, test } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import { endedStream, frame, LocalServer, status, stream } from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import { INTERNALS } from "./stream-options.js";

test("an outage of any length is followed by an attempt within half an announced heartbeat", async () => {
  const hello = `retry: 10\n${frame("connected", { heartbeatMs: 160 }, "e-1-1")}`;
  const refused = status(502);
  const server = await LocalServer.start(
    endedStream(hello),
    ...Array.from({ length: 6 }, () => refused),
    stream("data: back\n\n"),
  );
  const source = new StableEventSource(server.url, {
    // The longest of each wait, on a clock that takes nothing off before it is told.
    [INTERNALS]: { environment: { ...SYSTEM_ENVIRONMENT, now: () => 0, random: () => 0.999_999 } },
  });
  const waits: number[] = [];
  source.addEventListener("state", ({ state, nextAttemptAt }) => {
    if (state === "waiting") waits.push(nextAttemptAt ?? Infinity);
  });
  await new Promise((resolve) => {
    source.addEventListener("message", resolve);
  });
  source.close();
  await server.stop();
  expect(waits.map(Math.ceil)).toEqual([10, 10, 20, 40, 80, 80, 80]);
});
