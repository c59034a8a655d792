import { HoldfastClientError, type ConnectionInfo } from "@holdfast/client";
import { expect, test } from "vitest";
import type { SessionState } from "./batch-session.js";
import { toConnectionView } from "./connection-view.js";
import { OPEN_CONNECTION } from "./task.test.kit.js";

const NOW = 100_000;
const watching = (change: Partial<ConnectionInfo>): SessionState => ({
  kind: "watching",
  connection: { ...OPEN_CONNECTION, ...change },
});

test("an open stream is live and tells its transport and the age of the last heartbeat", () => {
  expect(toConnectionView(watching({ lastHeartbeatAtMs: NOW - 4200 }), true, NOW)).toMatchObject({
    state: "live",
    transport: "sse",
    heartbeatAgoSeconds: 4,
  });
});

test("an open stream is live, whatever the device says of its network", () => {
  expect(toConnectionView(watching({}), false, NOW).state).toBe("live");
});

test("a waiting stream counts down, never to zero", () => {
  const waiting = { state: "waiting", attempt: 2 } as const;
  expect(toConnectionView(watching({ ...waiting, nextAttemptAt: NOW + 2100 }), true, NOW)).toMatchObject({
    state: "reconnecting",
    retryInSeconds: 3,
    attempt: 2,
  });
  expect(toConnectionView(watching({ ...waiting, nextAttemptAt: NOW - 5 }), true, NOW).retryInSeconds).toBe(
    1,
  );
});

test("a second attempt under way is still reconnecting, a first one connecting", () => {
  expect(toConnectionView(watching({ state: "connecting", attempt: 3 }), true, NOW).state).toBe(
    "reconnecting",
  );
  expect(toConnectionView(watching({ state: "connecting" }), true, NOW).state).toBe("connecting");
});

test("without a network a lost stream is offline", () => {
  expect(toConnectionView(watching({ state: "waiting", nextAttemptAt: NOW }), false, NOW).state).toBe(
    "offline",
  );
});

test("a refusal brings the server's sentence", () => {
  const error = new HoldfastClientError("HTTP_STATUS", "401", {
    status: 401,
    problem: { detail: "a token is needed" },
  });
  expect(toConnectionView({ kind: "refused", error }, true, NOW)).toMatchObject({
    state: "refused",
    detail: "a token is needed",
  });
});
