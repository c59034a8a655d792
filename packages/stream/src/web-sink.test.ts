/**
 * The sink on Web responses: first with its reader in the hand, then behind a `node:http` server that pipes the body.
 */
import { createServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as NodeReadableStream } from "node:stream/web";
import { afterEach, expect, test } from "vitest";
import { webStream, type WebStreamOptions } from "./web-sink.js";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

function open(options: WebStreamOptions = {}) {
  const { sink, response } = webStream(options);
  const closes: boolean[] = [];
  let drains = 0;
  sink.onClose(({ finished }) => closes.push(finished));
  sink.onDrain(() => (drains += 1));
  if (response.body === null) throw new Error("a stream has a body");
  const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
  return {
    sink,
    response,
    reader,
    closes,
    drains: () => drains,
    read: async () => new TextDecoder().decode((await reader.read()).value),
  };
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const kib = (count: number): Uint8Array => new Uint8Array(count * 1_024).fill(97);

test("the response has status and headers, and its body says what was written", async () => {
  const { sink, response, read } = open({ headers: { "X-Test": "1" } });
  sink.write(text("a"));
  expect(response.status).toBe(200);
  expect(response.headers.get("x-test")).toBe("1");
  expect(await read()).toBe("a");
});

test("what waits counts as queued until it is read, and is then one chunk", async () => {
  const { sink, read, drains } = open();
  sink.write(kib(1));
  sink.write(kib(2));
  expect(sink.queuedBytes).toBe(3 * 1_024);
  expect(await read()).toHaveLength(3 * 1_024);
  expect(sink.queuedBytes).toBe(0);
  expect(drains()).toBe(1);
});

test("a reader that waits is given what is written in the same turn, and nothing is queued", async () => {
  const { sink, read } = open();
  sink.write(text("a"));
  await read();
  const chunk = read();
  sink.write(text("b"));
  expect(sink.queuedBytes).toBe(0);
  expect(await chunk).toBe("b");
});

test("what a released reader left is still queued, and goes to the next one first", async () => {
  const { sink, response, reader } = open();
  sink.write(text("a"));
  await reader.read();
  const lost = reader.read().catch(() => "released");
  reader.releaseLock();
  expect(await lost).toBe("released");
  sink.write(text("b"));
  expect(sink.queuedBytes).toBe(1);
  sink.write(text("c"));
  sink.end();
  let rest = "";
  for await (const chunk of response.body ?? []) rest += new TextDecoder().decode(chunk as Uint8Array);
  expect(rest).toBe("bc");
});

test("a chunk is its reader's own: giving its memory away harms no other connection", async () => {
  const frame = text("shared");
  const { sink, reader } = open();
  sink.write(frame);
  const { value } = await reader.read();
  structuredClone(value, { transfer: value === undefined ? [] : [value.buffer as ArrayBuffer] });
  expect(value?.byteLength).toBe(0);
  expect(new TextDecoder().decode(frame)).toBe("shared");
});

test("an end comes after what is queued, and is a close when that was read", async () => {
  const { sink, reader, closes } = open();
  sink.write(text("a"));
  sink.end();
  sink.write(text("too late"));
  expect(closes).toEqual([]);
  expect(new TextDecoder().decode((await reader.read()).value)).toBe("a");
  expect((await reader.read()).done).toBe(true);
  expect(closes).toEqual([true]);
});

test("an end with nothing queued ends a read that waits", async () => {
  const { sink, reader, closes } = open();
  const read = reader.read();
  sink.end();
  expect((await read).done).toBe(true);
  expect(closes).toEqual([true]);
});

test("a reader that cancels is a close, once, and later writes and ends do nothing", async () => {
  const { sink, reader, closes } = open();
  sink.write(kib(1));
  await reader.cancel();
  expect(sink.queuedBytes).toBe(0);
  sink.write(kib(1));
  sink.end();
  sink.destroy();
  expect(closes).toEqual([false]);
  expect(sink.queuedBytes).toBe(0);
});

test("the request's abort is a close, and the body breaks instead of ending", async () => {
  const abort = new AbortController();
  const { sink, reader, closes } = open({ signal: abort.signal });
  sink.write(kib(1));
  abort.abort();
  await expect(reader.read()).rejects.toThrow("let go");
  expect(closes).toEqual([false]);
});

test("a request that was aborted before is heard of too", async () => {
  const { closes } = open({ signal: AbortSignal.abort() });
  await Promise.resolve();
  expect(closes).toEqual([false]);
});

/** A host as frameworks are: it answers with a Web response, reading its body as the socket takes it. */
async function serve(response: () => Response): Promise<string> {
  const server = createServer((_request, answer) => {
    const { body, status, headers } = response();
    answer.writeHead(status, Object.fromEntries(headers));
    // A peer that goes ends the pipeline with an error, which is what the sink is to hear of.
    void pipeline(Readable.fromWeb(body as NodeReadableStream), answer).catch(() => undefined);
  });
  servers.push(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test("through a server, fetch reads what was written to its end", async () => {
  const finished: boolean[] = [];
  const url = await serve(() => {
    const { sink, response } = webStream({ headers: { "Content-Type": "text/event-stream" } });
    sink.onClose((outcome) => finished.push(outcome.finished));
    sink.write(text("data: 1\n\n"));
    setImmediate(() => {
      sink.write(text("data: 2\n\n"));
      sink.end();
    });
    return response;
  });
  const response = await fetch(url);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  expect(await response.text()).toBe("data: 1\n\ndata: 2\n\n");
  expect(finished).toEqual([true]);
});

test("through a server, a client that aborts is noticed", async () => {
  let closed = (_finished: boolean): void => {};
  const gone = new Promise<boolean>((resolve) => (closed = resolve));
  const url = await serve(() => {
    const { sink, response } = webStream();
    sink.onClose(({ finished }) => closed(finished));
    sink.write(text("data: 1\n\n"));
    return response;
  });
  const abort = new AbortController();
  const response = await fetch(url, { signal: abort.signal });
  await response.body?.getReader().read();
  abort.abort();
  expect(await gone).toBe(false);
});

test("through a server, a client that stops reading fills the queue, which is seen", async () => {
  let full = (_queuedBytes: number): void => {};
  const filled = new Promise<number>((resolve) => (full = resolve));
  const url = await serve(() => {
    const { sink, response } = webStream();
    const fill = (): void => {
      if (sink.queuedBytes >= 65_536) return full(sink.queuedBytes);
      sink.write(kib(16));
      setImmediate(fill);
    };
    fill();
    return response;
  });
  const abort = new AbortController();
  await fetch(url, { signal: abort.signal });
  expect(await filled).toBe(65_536);
  abort.abort();
});
