import type { ConnectionInfo } from "@holdfast/client";
import type { SessionState } from "./batch-session.js";

export type Transport = ConnectionInfo["transport"];

export type ConnectionState = "connecting" | "live" | "reconnecting" | "offline" | "refused" | "ended";

/** What the pill shows. */
export interface ConnectionView {
  readonly state: ConnectionState;
  /** Whole seconds until the next attempt; null when none is planned. */
  readonly retryInSeconds: number | null;
  readonly heartbeatAgoSeconds: number | null;
  /** What the client uses, or used last; null before it has begun. */
  readonly transport: Transport | null;
  /** Failures since the last sign of health. */
  readonly attempt: number;
  /** The server's sentence, when it refuses. */
  readonly detail: string | null;
}

export function toConnectionView(session: SessionState, online: boolean, nowMs: number): ConnectionView {
  const blank = {
    retryInSeconds: null,
    heartbeatAgoSeconds: null,
    transport: null,
    attempt: 0,
    detail: null,
  };
  switch (session.kind) {
    case "creating": {
      const retryInSeconds = secondsUntil(session.retryAtMs, nowMs);
      if (retryInSeconds === null) return { ...blank, state: online ? "connecting" : "offline" };
      return { ...blank, state: online ? "reconnecting" : "offline", retryInSeconds };
    }
    case "ended":
      return { ...blank, state: "ended" };
    case "refused": {
      const { problem, message } = session.error;
      return { ...blank, state: "refused", detail: problem?.detail ?? message };
    }
    case "watching":
      break;
  }
  const { state, attempt, nextAttemptAt, lastHeartbeatAtMs, transport } = session.connection;
  const heartbeatAgoSeconds =
    lastHeartbeatAtMs === null ? null : Math.max(0, Math.round((nowMs - lastHeartbeatAtMs) / 1000));
  const shared = { heartbeatAgoSeconds, transport, attempt, detail: null };
  // `onLine` is wrong often enough (no internet, yet this server answers), so it never overrides an open stream.
  if (state === "open") return { ...shared, state: "live", retryInSeconds: null };
  if (state === "closed") return { ...shared, state: "ended", retryInSeconds: null };
  const lost = online ? "reconnecting" : "offline";
  if (state === "waiting")
    return { ...shared, state: lost, retryInSeconds: secondsUntil(nextAttemptAt, nowMs) };
  return { ...shared, state: attempt > 0 ? lost : "connecting", retryInSeconds: null };
}

/** Rounded up: "in 0 s" is no promise. */
function secondsUntil(atMs: number | null, nowMs: number): number | null {
  return atMs === null ? null : Math.max(1, Math.ceil((atMs - nowMs) / 1000));
}
