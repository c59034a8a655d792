/**
 * The sink on real sockets, over HTTP/1.1 and HTTP/2: only there a queue is a queue.
 */
import { createServer, get, type IncomingMessage, type RequestListener } from "node:http";
import { connect, createServer as createHttp2Server } from "node:http2";
import { connect as connectSocket, type AddressInfo, type Server } from "node:net";
import { afterEach, expect, test } from "vitest";
import { nodeSink } from "./node-sink.js";
import type { Sink } from "./sink.js";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

async function serve(onSink: (sink: Sink) => void): Promise<IncomingMessage> {
  const handler: RequestListener = (_request, response) => onSink(nodeSink(response, { "X-Test": "1" }));
  const port = await listen(createServer(handler));
  return await new Promise((resolve, reject) => {
    get({ port, host: "127.0.0.1", agent: false }, resolve).on("error", reject);
  });
}

const kib = (count: number): Uint8Array => new Uint8Array(count * 1_024).fill(97);

test("a frame that the kernel takes leaves no queue, within the same turn", async () => {
  const queues: number[] = [];
  const response = await serve((sink) => {
    for (let i = 0; i < 5; i += 1) {
      sink.write(kib(1));
      queues.push(sink.queuedBytes);
    }
    sink.end();
  });
  expect(response.headers["x-test"]).toBe("1");
  let bytes = 0;
  for await (const chunk of response) bytes += (chunk as Buffer).length;
  expect(bytes).toBe(5 * 1_024);
  expect(queues).toEqual([0, 0, 0, 0, 0]);
});

test("a stalled reader's queue is seen, and drain comes once it reads, also below the high-water mark", async () => {
  let drained = (): void => {};
  const drain = new Promise<void>((resolve) => (drained = resolve));
  let queued = 0;
  let small = 0;
  const response = await serve((sink) => {
    sink.onDrain(() => sink.queuedBytes === 0 && queued > 0 && drained());
    const fill = (): void => {
      for (let i = 0; i < 64 && sink.queuedBytes === 0; i += 1) sink.write(kib(64));
      if (sink.queuedBytes === 0) return void setImmediate(fill);
      queued = sink.queuedBytes;
      sink.write(kib(1));
      small = sink.queuedBytes - queued;
    };
    fill();
  });
  response.pause();
  while (queued === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
  expect(small).toBeGreaterThanOrEqual(1_024);
  response.resume();
  await drain;
  response.destroy();
});

test("a peer that goes away is a close, once, and later writes and ends do nothing", async () => {
  const closes: boolean[] = [];
  let closed = (): void => {};
  const gone = new Promise<void>((resolve) => (closed = resolve));
  let kept: Sink | undefined;
  const response = await serve((sink) => {
    kept = sink;
    sink.onClose(({ finished }) => {
      closes.push(finished);
      closed();
    });
    sink.write(kib(1));
  });
  response.destroy();
  await gone;
  kept?.write(kib(1));
  kept?.end();
  kept?.end();
  kept?.destroy();
  expect(closes).toEqual([false]);
});

test("a response that waits behind another closes with its connection, by the peer's hand or by its own", async () => {
  for (const by of ["peer", "sink"]) {
    const sinks: Sink[] = [];
    const closes: boolean[] = [];
    let settle = (): void => {};
    const both = new Promise<void>((resolve) => (settle = resolve));
    const server = createServer((_request, response) => {
      const sink = nodeSink(response, {});
      sinks.push(sink);
      sink.onClose(({ finished }) => {
        closes.push(finished);
        if (closes.length === 2) settle();
      });
      sink.write(kib(1));
    });
    const port = await listen(server);
    const socket = connectSocket(port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.resume();
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    while (sinks.length < 2) await new Promise<void>((resolve) => void setImmediate(resolve));
    if (by === "peer") socket.destroy();
    else sinks[1]?.destroy();
    await both;
    expect(closes).toEqual([false, false]);
    socket.destroy();
  }
});

test("on a connection that is kept, a response that is over leaves no listener on the socket", async () => {
  const counts: number[] = [];
  const server = createServer((request, response) => {
    counts.push(request.socket.listenerCount("close"));
    const sink = nodeSink(response, {});
    sink.write(kib(1));
    sink.end();
  });
  const port = await listen(server);
  const socket = connectSocket(port, "127.0.0.1");
  for (let turn = 1; turn <= 3; turn += 1) {
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while (counts.length < turn) await new Promise<void>((resolve) => void setImmediate(resolve));
    await new Promise<void>((resolve) => {
      socket.on("data", (chunk: Buffer) => chunk.toString().endsWith("0\r\n\r\n") && resolve());
    });
  }
  socket.destroy();
  expect(new Set(counts).size).toBe(1);
});

test("a peer that went before the sink was made is heard to have gone", async () => {
  let closed = (): void => {};
  const gone = new Promise<void>((resolve) => (closed = resolve));
  const port = await listen(
    createServer((_request, response) => {
      response.once("close", () => {
        const sink = nodeSink(response, {});
        sink.onClose(() => closed());
        sink.write(kib(1));
      });
    }),
  );
  const request = get({ port, host: "127.0.0.1", agent: false });
  request.on("error", () => undefined);
  request.once("socket", (socket) => socket.once("connect", () => setImmediate(() => request.destroy())));
  await gone;
  expect(request.destroyed).toBe(true);
});

test("over HTTP/2 the same sink drains and ends cleanly, without a connection header", async () => {
  const closes: boolean[] = [];
  let drains = 0;
  const server = createHttp2Server((_request, response) => {
    const sink = nodeSink(response, { "X-Test": "1" });
    sink.onClose(({ finished }) => closes.push(finished));
    sink.onDrain(() => {
      drains += 1;
      if (drains === 1) sink.end();
    });
    sink.write(kib(200));
  });
  const port = await listen(server);
  const client = connect(`http://127.0.0.1:${port}`);
  const stream = client.request({ ":path": "/" });
  const headers = await new Promise<Record<string, unknown>>(
    (resolve) => void stream.on("response", resolve),
  );
  let bytes = 0;
  for await (const chunk of stream) bytes += (chunk as Buffer).length;
  client.close();
  expect(bytes).toBe(200 * 1_024);
  expect(headers).not.toHaveProperty("connection");
  expect(stream.rstCode).toBe(0);
  expect(closes).toEqual([true]);
});

test.each([
  ["before the sink was made", true],
  ["in the middle", false],
])(
  "over HTTP/2 a peer that resets its stream %s is heard to have gone, and nothing counts as sent",
  async (_, early) => {
    let heard: (finished: boolean) => void = () => undefined;
    const finished = new Promise<boolean>((resolve) => (heard = resolve));
    let reset = (): void => undefined;
    const server = createHttp2Server((_request, response) => {
      const open = (): void => {
        const sink = nodeSink(response, {});
        sink.onClose((outcome) => heard(outcome.finished));
        sink.write(kib(1));
      };
      if (early) response.stream.once("close", () => setImmediate(open));
      else open();
      reset();
    });
    const port = await listen(server);
    const client = connect(`http://127.0.0.1:${port}`);
    const stream = client.request({ ":path": "/" });
    stream.on("error", () => undefined);
    if (early) reset = () => stream.close(8);
    else stream.once("response", () => stream.close(0));
    expect(await finished).toBe(false);
    client.destroy();
  },
);
