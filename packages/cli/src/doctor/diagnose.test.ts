import { expect, test } from "vitest";
import { diagnose } from "./diagnose.js";
import type { Finding } from "./finding.js";
import type { ProbeFacts, StreamObservation, Survey } from "./observation.js";

const STREAM: StreamObservation = {
  protocol: "http/1.1",
  sentHeaders: {},
  status: 200,
  headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
  headersMs: 5,
  reads: [{ atMs: 6, bytes: 30 }],
  events: [{ atMs: 6, event: "message", id: "1", data: "" }],
  end: { kind: "left", atMs: 10_000 },
  body: "",
};

const PROBE: ProbeFacts = {
  delaysMs: [1, 2, 1, 1, 3, 1, 2, 1],
  intervalMs: 500,
  headersMs: 4,
  silentMs: 2_000,
  streamIds: ["a", "b"],
  uploadSeenBytes: 131_072,
  uploadSentBytes: 131_072,
  uploadStatus: 200,
  goneNoticedMs: 20,
  goneWaitedMs: 12_000,
};

const HEALTHY: Survey = {
  url: "https://app.example/api/v1/tasks/a/stream",
  watchedMs: 10_000,
  connection: {
    host: "app.example",
    port: 443,
    addresses: ["192.0.2.1"],
    lookupMs: 1,
    connectMs: 1,
    tls: { version: "TLSv1.3", alpn: "h2", untrusted: undefined, validDays: 60 },
    error: undefined,
  },
  plain: STREAM,
  compressible: STREAM,
  http2: { ...STREAM, protocol: "h2" },
  resumed: STREAM,
  resumedFrom: "1",
  crossOrigin: undefined,
  origin: undefined,
  clockSkewMs: 200,
  probe: PROBE,
};

function findingsOf(changes: Partial<Survey>): readonly Finding[] {
  return diagnose({ ...HEALTHY, ...changes });
}

function idsOf(changes: Partial<Survey>): readonly string[] {
  return findingsOf(changes).map(({ id }) => id);
}

/** A stream whose last byte came after 2 s and that ended that much later. */
function silentFor(seconds: number, kind: "ended" | "cut"): StreamObservation {
  return {
    ...STREAM,
    reads: [{ atMs: 2_000, bytes: 30 }],
    end: { kind, atMs: 2_000 + seconds * 1_000 },
  };
}

test("a healthy way has no finding", () => {
  expect(idsOf({})).toEqual([]);
});

test("a cut after a known silence names the products whose limit it is, cleanly ended or not", () => {
  const fits = (seconds: number, kind: "ended" | "cut") =>
    findingsOf({ watchedMs: 400_000, plain: silentFor(seconds, kind) }).find(({ id }) => id === "idle-cut")
      ?.fits;
  expect(
    [30, 50.2, 55, 60.1, 100, 300, 361].map((seconds) => fits(seconds, "cut")?.split(/[ ,']/)[0]),
  ).toEqual(["Google", "HAProxy", "Heroku", "nginx", "Cloudflare", "Apache", "lighttpd"]);
  // HAProxy ends a timed-out HTTP/2 stream cleanly.
  expect(fits(50, "ended")).toBe("HAProxy");
  expect(fits(42, "cut")).toBeUndefined();
  expect(idsOf({ plain: silentFor(42, "cut"), watchedMs: 50_000 })).toEqual(["unclean-end", "no-heartbeat"]);
});

test("what the probe shows is told apart by its pattern", () => {
  const found = (probe: Partial<ProbeFacts>) => idsOf({ probe: { ...PROBE, ...probe } });
  expect(found({ delaysMs: [204, 206, 203, 207, 205, 204] })).toEqual(["nagle"]);
  expect(found({ delaysMs: [502, 501, 503, 499, 500, 4] })).toEqual(["one-behind"]);
  expect(found({ delaysMs: [3_500, 3_000, 2_500, 2_000, 1_500, 1_000, 500, 2] })).toEqual(["held-back"]);
  // One late event is a busy machine.
  expect(found({ delaysMs: [1, 2, 400, 1, 2, 1] })).toEqual([]);
  expect(found({ headersMs: 2_004 })).toEqual(["headers-held"]);
  expect(found({ streamIds: ["a", "a"] })).toEqual(["shared-stream"]);
  expect(found({ uploadSeenBytes: 0 })).toEqual(["request-buffered"]);
  expect(found({ uploadSeenBytes: 0, uploadStatus: 413 })).toEqual(["upload-limit"]);
  expect(found({ goneNoticedMs: undefined })).toEqual(["gone-unnoticed"]);
});

test("a late heartbeat is measured against what the server announced", () => {
  const beat = (atMs: number) => ({ atMs, event: "heartbeat", id: undefined, data: "{}" });
  const connected = { atMs: 5, event: "connected", id: "1", data: '{"heartbeatMs":1000}' };
  const stream = (...times: number[]) => ({ ...STREAM, events: [connected, ...times.map(beat)] });
  expect(idsOf({ plain: stream(900, 1_900, 2_950) })).toEqual([]);
  expect(idsOf({ plain: stream(900, 1_900, 4_100) })).toEqual(["heartbeat-late"]);
});

test("a certificate that ends soon, and HTTP/1.1 alone", () => {
  const { connection } = HEALTHY;
  const tls = { version: "TLSv1.3", alpn: "h2", untrusted: undefined, validDays: 3 };
  expect(idsOf({ connection: { ...connection, tls } })).toEqual(["certificate-expires"]);
  expect(
    idsOf({
      http2: undefined,
      connection: { ...connection, tls: { ...tls, alpn: "http/1.1", validDays: 90 } },
    }),
  ).toEqual(["six-connections"]);
});

test("every finding says what was seen, what it does and what to change", () => {
  const findings = [
    ...findingsOf({ plain: { ...STREAM, status: 401 } }),
    ...findingsOf({ probe: { ...PROBE, uploadSeenBytes: 0, streamIds: ["a", "a"] } }),
    ...findingsOf({ plain: silentFor(60, "cut") }),
  ];
  expect(findings.length).toBeGreaterThan(3);
  for (const { seen, effect, fix } of findings) {
    expect(seen).toMatch(/\d|same|absent/);
    expect(effect).not.toBe("");
    expect(fix.length).toBeGreaterThan(0);
  }
});
