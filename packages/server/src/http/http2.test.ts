import { once } from "node:events";
import { constants, createServer } from "node:http2";
import { connect as connectSocket, type AddressInfo } from "node:net";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import {
  END_STREAM,
  FRAME,
  FrameSocket,
  Http2Watch,
  callHttp2,
  callJson2,
  closeHttp2,
  connectHttp2,
} from "./http2.test.kit.js";
import { closeServed, json, serve, until } from "./served.test.kit.js";
import { TLS } from "./tls.test.kit.js";

afterEach(async () => {
  closeHttp2();
  await closeServed();
});

test("both versions are spoken on one port, and over HTTP/1.1 alone when nothing else is asked for", async () => {
  const { url, api } = await serve({ http: "2" });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const session = connectHttp2(url);
  const { status, text } = await callHttp2(session, { ":path": "/healthz" });
  expect([status, text]).toEqual([200, '{"status":"ok"}']);
  expect((await fetch(`${api}/tasks`, json("POST", { id: "a" }))).status).toBe(201);
  const plain = await serve();
  const refused = connectHttp2(plain.url);
  await new Promise((resolve) => void refused.once("close", resolve));
  expect((await fetch(`${plain.url}/healthz`)).status).toBe(200);
});

test.each([
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "PUT /x HTTP/1.1\r\nHost: a\r\n\r\n",
  "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n",
])("the version is told by the first bytes also when they come one by one: %j", async (text) => {
  const { port } = await serve({ http: "2" });
  const socket = connectSocket(port, "127.0.0.1");
  socket.setNoDelay(true);
  const first = new Promise<Buffer>((resolve) => void socket.once("data", resolve));
  for (const char of text) {
    socket.write(char, "latin1");
    await new Promise((resolve) => void setImmediate(resolve));
  }
  const answer = await first;
  if (text.startsWith("PRI")) expect(answer[3]).toBe(FRAME.SETTINGS);
  else expect(answer.toString("latin1")).toMatch(/^HTTP\/1\.1 4\d\d /);
  socket.destroy();
});

test("a connection that says nothing, and one that says nothing after its preface, are closed after the header timeout", async () => {
  const { port } = await serve({ http: "2", headerTimeoutMs: 1_000 });
  const silent = connectSocket(port, "127.0.0.1");
  await once(silent, "close");
  const frames = await FrameSocket.open(port);
  await until(() => frames.closed);
  expect(frames.goaway).toBe(constants.NGHTTP2_NO_ERROR);
});

test("a connection without a stream is closed after the idle timeout, one with a stream is not", async () => {
  const { api, port } = await serve({ http: "2", headerTimeoutMs: 1_000, idleTimeoutMs: 1_000 });
  await fetch(`${api}/tasks`, json("POST", { id: "a" }));
  const [used, watching] = [await FrameSocket.open(port), await FrameSocket.open(port)];
  watching.get(1, "/api/v1/tasks/a/stream");
  used.get(1, "/healthz");
  await until(() => used.closed);
  expect(used.goaway).toBe(constants.NGHTTP2_NO_ERROR);
  expect(used.of(FRAME.DATA).at(-1)?.flags).toBe(END_STREAM);
  expect(watching.closed).toBe(false);
});

test.each([
  [["h2", "http/1.1"], "h2"],
  [["http/1.1"], "http/1.1"],
  [undefined, false],
])("over TLS a client that offers %j gets %s", async (offered, chosen) => {
  const { port } = await serve({ http: "2", tls: TLS });
  const socket = connectTls({
    port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ...(offered !== undefined && { ALPNProtocols: offered }),
  });
  await once(socket, "secureConnect");
  expect(socket.alpnProtocol).toBe(chosen);
  if (chosen !== "h2") {
    socket.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 200 /);
  }
  socket.destroy();
  const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  expect((await callHttp2(session, { ":path": "/healthz" })).status).toBe(200);
});

test("a stream has the headers of HTTP/1.1 without those of a connection, and its ending ends it without a reset", async () => {
  const { url, port } = await serve({ http: "2" });
  const session = connectHttp2(url);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  const watch = new Http2Watch(session, "/api/v1/tasks/a/stream");
  const raw = await FrameSocket.open(port);
  raw.get(1, "/api/v1/tasks/a/stream");
  await watch.heard("connected");
  await until(() => raw.of(FRAME.DATA).length > 0);
  await callJson2(session, "/api/v1/tasks/a/events", { type: "complete", data: { result: 1 } });
  const { headers, rstCode, text } = await watch.over;
  const { date, ...rest } = Object.fromEntries(Object.entries(headers));
  expect(date).toBeTypeOf("string");
  expect(rest).toEqual({
    ":status": 200,
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-store, no-transform, must-revalidate",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
  });
  expect(rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  expect(text).toContain("event: complete\n");
  await until(() => raw.of(FRAME.DATA).at(-1)?.flags === END_STREAM);
  const gone = await callHttp2(session, {
    ":path": "/api/v1/tasks/a/stream",
    "last-event-id": /id: (\S+)\nevent: complete/.exec(text)?.[1],
  });
  expect(gone.status).toBe(204);
  expect(raw.of(FRAME.RST_STREAM)).toEqual([]);
  expect(raw.of(FRAME.GOAWAY)).toEqual([]);
});

test("a refusal with which Fastify would close a connection of HTTP/1.1 says nothing of it", async () => {
  const { url, api } = await serve({ http: "2" });
  const refused = { ":method": "POST", ":path": "/api/v1/tasks", "content-type": "text/plain" };
  const warnings: Error[] = [];
  const warn = (warning: Error): void => void warnings.push(warning);
  process.on("warning", warn);
  const { status, headers } = await callHttp2(connectHttp2(url), refused, "a");
  process.off("warning", warn);
  const { status: before } = await fetch(`${api}/tasks`, { method: "POST", body: "a" });
  expect([status, status]).toEqual([415, before]);
  expect(headers).not.toHaveProperty("connection");
  expect(warnings).toEqual([]);
});

test("at drain each stream is told, ends with END_STREAM, and then the connection with GOAWAY", async () => {
  const { holdfast, api, port } = await serve({ http: "2" });
  await fetch(`${api}/tasks`, json("POST", { id: "a" }));
  const raw = await FrameSocket.open(port);
  for (const streamId of [1, 3, 5]) raw.get(streamId, "/api/v1/tasks/a/stream");
  await until(() => new Set(raw.of(FRAME.DATA).map(({ streamId }) => streamId)).size === 3);
  await holdfast.close();
  await until(() => raw.closed);
  for (const streamId of [1, 3, 5]) {
    const data = raw.of(FRAME.DATA).filter((frame) => frame.streamId === streamId);
    expect(data.at(-2)?.payload.toString()).toContain("event: drain\n");
    expect(data.at(-1)?.flags).toBe(END_STREAM);
  }
  expect(raw.of(FRAME.RST_STREAM)).toEqual([]);
  expect(raw.goaway).toBe(constants.NGHTTP2_NO_ERROR);
  const ends = raw.frames.findLastIndex(({ type }) => type === FRAME.DATA);
  expect(raw.frames.findIndex(({ type }) => type === FRAME.GOAWAY)).toBeGreaterThan(ends);
});

test("a stream that is too old ends with END_STREAM, and its connection goes on", async () => {
  const { api, port } = await serve({ http: "2", maxStreamAgeMs: 1_000, heartbeatMs: 500 });
  await fetch(`${api}/tasks`, json("POST", { id: "a" }));
  const raw = await FrameSocket.open(port);
  raw.get(1, "/api/v1/tasks/a/stream");
  await until(() => raw.of(FRAME.DATA).at(-1)?.flags === END_STREAM);
  raw.get(3, "/healthz");
  await until(() => raw.of(FRAME.DATA).at(-1)?.streamId === 3);
  expect([raw.of(FRAME.RST_STREAM), raw.of(FRAME.GOAWAY), raw.closed]).toEqual([[], [], false]);
});

test("a hundred streams on one connection each hear everything", async () => {
  const { url } = await serve({ http: "2" });
  const session = connectHttp2(url);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  const watches = Array.from({ length: 100 }, () => new Http2Watch(session, "/api/v1/tasks/a/stream"));
  for (const watch of watches) await watch.heard("connected");
  for (let page = 0; page < 20; page += 1)
    await callJson2(session, "/api/v1/tasks/a/events", { type: "page", data: { page } });
  await callJson2(session, "/api/v1/tasks/a/events", { type: "complete", data: {} });
  for (const { over } of watches) {
    const { text, rstCode } = await over;
    expect(text.match(/event: page\n/g)).toHaveLength(20);
    expect([text.includes("event: complete\n"), rstCode]).toEqual([true, 0]);
  }
});

test("with sseHttp1 a stream is sent to HTTP/1.1, and nothing else is", async () => {
  const { url, api } = await serve({ http: "2", sseHttp1: true });
  const session = connectHttp2(url);
  expect((await callJson2(session, "/api/v1/tasks", { id: "a" })).status).toBe(201);
  const watched = await callHttp2(session, { ":path": "/api/v1/tasks/a/stream" });
  expect([watched.status, watched.rstCode]).toEqual([0, constants.NGHTTP2_HTTP_1_1_REQUIRED]);
  const polled = await callHttp2(session, { ":path": "/api/v1/tasks/a/stream?transport=poll" });
  expect([polled.status, polled.rstCode]).toEqual([200, constants.NGHTTP2_NO_ERROR]);
  const unknown = await callHttp2(session, { ":path": "/api/v1/tasks/none/stream" });
  expect(unknown.rstCode).toBe(constants.NGHTTP2_HTTP_1_1_REQUIRED);
  const leaving = new AbortController();
  const response = await fetch(`${api}/tasks/a/stream`, { signal: leaving.signal });
  expect(response.status).toBe(200);
  leaving.abort();
});

test("a host's own server of HTTP/2 may hand over what it gets", async () => {
  const { holdfast } = await serve();
  const server = createServer((request, response) => holdfast.handler(request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  await callJson2(session, "/api/v1/tasks", { id: "a" });
  const watch = new Http2Watch(session, "/api/v1/tasks/a/stream");
  await watch.heard("connected");
  await holdfast.close();
  expect((await watch.over).text).toContain("event: drain\n");
  server.close();
});

test("whatever a client asks over HTTP/2, it never gets a 5xx, and its connection lives on", async () => {
  const { url } = await serve({ http: "2", readTimeoutMs: 100 });
  const session = connectHttp2(url);
  const text = fc.stringMatching(/^[!-~]{1,40}$/);
  const request = fc.record(
    {
      ":method": fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"),
      ":path": fc.oneof(
        fc.constantFrom("/api/v1/uploads", "/api/v1/uploads/a/content", "/api/v1/stream", "*", "/"),
        text.map((rest) => `/api/v1/tasks/${rest}`),
      ),
      ":authority": text,
      "content-type": fc.constantFrom("application/json", "multipart/form-data; boundary=b", "text/plain"),
      "tus-resumable": fc.constantFrom("1.0.0", "2.0.0"),
      "upload-length": fc.constantFrom("5", "-1"),
      "upload-offset": text,
      "last-event-id": text,
      accept: text,
      cookie: text,
      host: text,
    },
    { requiredKeys: [":method", ":path"] },
  );
  await fc.assert(
    fc.asyncProperty(request, fc.option(fc.string()), async (headers, body) => {
      const { status } = await callHttp2(session, headers, body ?? undefined);
      expect(status === 505 || status < 500).toBe(true);
      expect(session.destroyed).toBe(false);
    }),
    { numRuns: 150 },
  );
}, 60_000);
