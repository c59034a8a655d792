/**
 * Channels on real sockets: HTTP/1.1, HTTP/2 without TLS, and a Web response behind a `node:http` server.
 */
import { createServer } from "node:http";
import {
  connect,
  createServer as createHttp2Server,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from "node:http2";
import type { AddressInfo, Server } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { EventSourceParserStream, type EventSourceMessage } from "eventsource-parser/stream";
import { afterEach, expect, test } from "vitest";
import { createChannel, type NodeChannel } from "./node-sink-channel.js";
import type { SessionReport } from "./session.js";

const closing: (() => void)[] = [];

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

async function listen(server: Server): Promise<string> {
  closing.push(() => server.close());
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A reader over fetch, which may come back. */
async function read(url: string, lastEventId?: string) {
  const abort = new AbortController();
  closing.push(() => abort.abort());
  const response = await fetch(url, {
    signal: abort.signal,
    headers: lastEventId === undefined ? {} : { "Last-Event-ID": lastEventId },
  });
  if (response.body === null) throw new Error("a stream has a body");
  const events = response.body
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream())
    .getReader();
  return {
    response,
    next: async (): Promise<EventSourceMessage | undefined> => (await events.read()).value,
    abort: () => abort.abort(),
  };
}

/** Resolves with the first connection's report. */
function closeReport(): { onClose: (report: SessionReport) => void; report: Promise<SessionReport> } {
  let onClose = (_report: SessionReport): void => {};
  const report = new Promise<SessionReport>((resolve) => (onClose = resolve));
  return { onClose, report };
}

test("over HTTP/1.1 a reader gets what is published, and after an abort what it missed", async () => {
  const channel = createChannel({ epoch: "e" });
  const { onClose, report } = closeReport();
  const url = await listen(
    createServer((request, response) => {
      response.setHeader("X-Kept", "1");
      channel.connect(request, response, { onClose, headers: { "X-Test": "2" } });
    }),
  );
  const first = await read(url);
  expect(Object.fromEntries(first.response.headers)).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
    "x-kept": "1",
    "x-test": "2",
  });
  channel.publish("n", 1);
  expect(await first.next()).toEqual({ id: "e-1", event: "n", data: "1" });
  first.abort();
  expect((await report).reason).toBe("peer-gone");
  expect(channel.size).toBe(0);
  channel.publish("n", 2);
  const again = await read(url, "e-1");
  expect(await again.next()).toEqual({ id: "e-2", event: "n", data: "2" });
});

test("through a Web response a reader gets what is published, what it missed, and its abort is noticed", async () => {
  const channel = createChannel({ epoch: "e" });
  const { onClose, report } = closeReport();
  const url = await listen(
    createServer((request, answer) => {
      const headers = new Headers();
      const sent = request.headers["last-event-id"];
      if (typeof sent === "string") headers.set("Last-Event-ID", sent);
      const {
        body,
        status,
        headers: answered,
      } = channel.respond(new Request("http://host/", { headers }), { onClose });
      answer.writeHead(status, Object.fromEntries(answered));
      // A peer that goes ends the pipeline with an error, which is what the channel is to hear of.
      void pipeline(Readable.fromWeb(body as NodeReadableStream), answer).catch(() => undefined);
    }),
  );
  channel.publish("n", 1);
  channel.publish("n", 2);
  const reader = await read(url, "e-1");
  expect(reader.response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(await reader.next()).toEqual({ id: "e-2", event: "n", data: "2" });
  channel.batch(() => {
    for (let n = 3; n <= 5; n += 1) channel.publish("n", n);
  });
  for (const id of ["e-3", "e-4", "e-5"]) expect(await reader.next()).toMatchObject({ id });
  reader.abort();
  expect((await report).reason).toBe("peer-gone");
  expect(channel.size).toBe(0);
});

async function openHttp2(
  channel: NodeChannel,
  onClose: (report: SessionReport) => void,
): Promise<{ client: ClientHttp2Session; stream: ClientHttp2Stream; headers: Record<string, unknown> }> {
  const server = createHttp2Server(
    (request, response) => void channel.connect(request, response, { onClose }),
  );
  const client = connect(await listen(server));
  closing.push(() => client.destroy());
  const stream = client.request({ ":path": "/", "last-event-id": "e-0" });
  const headers = await new Promise<Record<string, unknown>>(
    (resolve) => void stream.on("response", resolve),
  );
  return { client, stream, headers };
}

test("over HTTP/2 the stream resumes, has no connection header, and a drain ends it with END_STREAM", async () => {
  const channel = createChannel({ epoch: "e" });
  channel.publish("n", 1);
  const { onClose, report } = closeReport();
  const { stream, headers } = await openHttp2(channel, onClose);
  expect(headers).toMatchObject({ ":status": 200, "content-type": "text/event-stream; charset=utf-8" });
  for (const name of ["connection", "keep-alive", "transfer-encoding"])
    expect(headers).not.toHaveProperty(name);
  channel.publish("n", 2);
  const drained = channel.drain(1_000);
  let text = "";
  for await (const chunk of stream) text += String(chunk);
  await drained;
  expect(text.match(/^id: .*$/gm)).toEqual(["id: e-0", "id: e-1", "id: e-2"]);
  expect(text).toMatch(/event: drain\ndata: .*\n\n$/);
  expect(stream.rstCode).toBe(0);
  expect(await report).toMatchObject({ reason: "drain", finished: true });
});

test.each([
  ["resets its stream", (stream: ClientHttp2Stream) => stream.close(8)],
  ["drops its connection", (stream: ClientHttp2Stream) => stream.session?.destroy()],
])("over HTTP/2 a peer that %s is noticed", async (_, leave) => {
  const channel = createChannel();
  const { onClose, report } = closeReport();
  const { stream } = await openHttp2(channel, onClose);
  stream.on("error", () => undefined);
  leave(stream);
  expect((await report).reason).toBe("peer-gone");
  expect(channel.size).toBe(0);
});

test("over HTTP/2 a peer that does not read is closed at its bound", async () => {
  const channel = createChannel({ maxQueueBytes: 65_536 });
  const { onClose, report } = closeReport();
  const { stream } = await openHttp2(channel, onClose);
  stream.on("error", () => undefined);
  stream.pause();
  const publish = (): void => {
    if (channel.size === 0) return;
    channel.publish("n", "x".repeat(16_384));
    setImmediate(publish);
  };
  publish();
  expect((await report).reason).toBe("slow-consumer");
});
