import { constants } from "node:http2";
import { afterEach, expect, test } from "vitest";
import {
  END_HEADERS,
  END_STREAM,
  FRAME,
  FrameSocket,
  Http2Watch,
  callHttp2,
  callJson2,
  closeHttp2,
  connectHttp2,
  toHead,
  type Frame,
} from "./http2.test.kit.js";
import { closeServed, serve, until } from "./served.test.kit.js";

afterEach(async () => {
  closeHttp2();
  await closeServed();
});

const CANCEL = Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]);

/** One round of a flood, so small that Node's own bounds are not reached before ours. */
type Round = (round: number) => readonly Partial<Frame>[];

const reset: Round = (round) => [
  {
    type: FRAME.HEADERS,
    flags: END_HEADERS | END_STREAM,
    streamId: 2 * round + 1,
    payload: toHead("/healthz"),
  },
  { type: FRAME.RST_STREAM, streamId: 2 * round + 1, payload: CANCEL },
];
const ping: Round = () => [{ type: FRAME.PING, payload: Buffer.alloc(8) }];
const settings: Round = () => [{ type: FRAME.SETTINGS }];

test.each([
  ["resets its streams", reset],
  ["sends PINGs", ping],
  ["sends SETTINGS", settings],
])("a client that %s without end is sent away, and nobody else is", async (_, toFrames) => {
  const { url, port, logs } = await serve({ http: "2" });
  const session = connectHttp2(url);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  const neighbour = new Http2Watch(session, "/api/v1/tasks/a/stream");
  await neighbour.heard("connected");
  const flood = await FrameSocket.open(port);
  let round = 0;
  while (!flood.closed && round < 5_000) {
    for (let i = 0; i < 50; i += 1) flood.send(...toFrames((round += 1)));
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect(flood.closed).toBe(true);
  expect(flood.goaway).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  expect(logs.filter(({ msg }) => String(msg).includes("flooding"))).toHaveLength(1);
  await callJson2(session, "/api/v1/tasks/a/events", { type: "complete", data: {} });
  expect((await neighbour.over).text).toContain("event: complete\n");
});

test("a client that would make the server reset its streams is cut at the first of them", async () => {
  const { url, port } = await serve({ http: "2" });
  await callJson2(connectHttp2(url), "/api/v1/tasks", { id: "a" });
  const raw = await FrameSocket.open(port);
  raw.get(1, "/api/v1/tasks/a/stream");
  // [rfc9113 §6.9] an increment of 0 is an error of the stream.
  raw.send({ type: FRAME.WINDOW_UPDATE, streamId: 1, payload: Buffer.alloc(4) });
  await until(() => raw.closed);
  expect(raw.goaway).not.toBe(constants.NGHTTP2_NO_ERROR);
});

test("a person who reloads a page of a hundred streams five times is no flood", async () => {
  const { url } = await serve({ http: "2" });
  const session = connectHttp2(url);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  for (let reload = 0; reload < 5; reload += 1) {
    const watches = Array.from({ length: 90 }, () => new Http2Watch(session, "/api/v1/tasks/a/stream"));
    for (const watch of watches) await watch.heard("connected");
    for (const { stream } of watches) stream.close(constants.NGHTTP2_CANCEL);
    for (const { over } of watches) await over;
  }
  expect((await callHttp2(session, { ":path": "/healthz" })).status).toBe(200);
});

test.each([
  ["without end", (): Partial<Frame> => ({ payload: Buffer.from([0, 1, 120, 1, 120]) })],
  ["that are empty", (): Partial<Frame> => ({})],
])("a head in CONTINUATION frames %s ends its connection, and costs no memory", async (_, toFrame) => {
  const { url, port } = await serve({ http: "2" });
  const flood = await FrameSocket.open(port);
  flood.send({ type: FRAME.HEADERS, streamId: 1, payload: toHead("/healthz") });
  for (let sent = 0; !flood.closed && sent < 100_000; sent += 100) {
    flood.send(
      ...Array.from({ length: 100 }, () => ({ type: FRAME.CONTINUATION, streamId: 1, ...toFrame() })),
    );
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect(flood.closed).toBe(true);
  expect((await callHttp2(connectHttp2(url), { ":path": "/healthz" })).status).toBe(200);
});

test("a head above 16 KiB is refused, and the connection goes on", async () => {
  const { url } = await serve({ http: "2" });
  const session = connectHttp2(url);
  // What we bound is known to the client once it has said so: to the first head of all Node's own 64 KiB apply.
  await callHttp2(session, { ":path": "/healthz" });
  const { status, rstCode } = await callHttp2(session, { ":path": "/healthz", "x-big": "x".repeat(17_000) });
  expect([status, rstCode]).toEqual([0, constants.NGHTTP2_ENHANCE_YOUR_CALM]);
  expect((await callHttp2(session, { ":path": "/healthz" })).status).toBe(200);
});

test("more streams than may be open are refused one by one, to be tried again", async () => {
  const { url } = await serve({ http: "2" });
  const session = connectHttp2(url);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  const raw = await FrameSocket.open(Number(new URL(url).port));
  for (let id = 1; id <= 601; id += 2) raw.get(id, "/api/v1/tasks/a/stream");
  await until(() => raw.of(FRAME.RST_STREAM).length === 51 && raw.of(FRAME.HEADERS).length === 250);
  for (const { payload } of raw.of(FRAME.RST_STREAM))
    expect(payload.readUInt32BE(0)).toBe(constants.NGHTTP2_REFUSED_STREAM);
  expect(raw.closed).toBe(false);
});

test("a stream that nobody reads is closed at its bound and its neighbours hear everything", async () => {
  const { url, logs } = await serve({ http: "2", maxQueueBytes: 16_384 });
  const session = connectHttp2(url);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  // As browsers do: the connection's window holds more than one stream's.
  session.setLocalWindowSize(1_048_576);
  const neighbour = new Http2Watch(session, "/api/v1/tasks/a/stream");
  await neighbour.heard("connected");
  const stalled = session.request({ ":path": "/api/v1/tasks/a/stream" });
  stalled.on("error", () => undefined);
  stalled.once("response", () => stalled.pause());
  const event = { type: "page", data: { text: "x".repeat(8_000) } };
  for (let i = 0; i < 20; i += 1) await callJson2(session, "/api/v1/tasks/a/events", event);
  await until(() => logs.some(({ reason }) => reason === "slow-consumer"));
  await callJson2(session, "/api/v1/tasks/a/events", { type: "complete", data: {} });
  const { text } = await neighbour.over;
  expect(text.match(/event: page\n/g)).toHaveLength(20);
  stalled.destroy();
});

test("closing takes a bounded time also when a client of HTTP/2 reads nothing and never leaves", async () => {
  const { holdfast, url, port } = await serve({ http: "2" });
  await callJson2(connectHttp2(url), "/api/v1/tasks", { id: "a" });
  const frames = await FrameSocket.open(port);
  // A request without its body.
  frames.send({
    type: FRAME.HEADERS,
    flags: END_HEADERS,
    streamId: 1,
    payload: toHead("/healthz"),
  });
  await until(() => frames.of(FRAME.DATA).length > 0);
  const startedAtMs = performance.now();
  await holdfast.close();
  expect(performance.now() - startedAtMs).toBeLessThan(16_000);
  await until(() => frames.closed);
});
