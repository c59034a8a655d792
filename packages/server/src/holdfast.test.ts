import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { createHoldfast } from "./holdfast.js";
import { closeServed, serve, talk, until } from "./http/served.test.kit.js";
import { MemoryStore } from "./stores/memory-store.js";

afterEach(closeServed);

test("close() tells each stream when to come back, ends it cleanly, and is done in bounded time", async () => {
  // Longer than a test may take: nobody waits for it to pass.
  const { api, holdfast, logs } = await serve({ drainWindowMs: 60_000 });
  await holdfast.tasks.create({ id: "job" });
  const streams = await Promise.all(
    Array.from({ length: 20 }, async () => await fetch(`${api}/tasks/job/stream`)),
  );
  const reading = Promise.all(streams.map(async (stream) => await stream.text())); // rejects when a stream is cut
  await holdfast.close();
  const waits = (await reading).map((text) =>
    Number(/event: drain\ndata: \{"reconnectInMs":(\d+)\}/.exec(text)?.[1]),
  );
  expect(waits.every((wait) => wait >= 0 && wait <= 60_000)).toBe(true);
  expect(new Set(waits).size).toBeGreaterThan(10);
  await until(() => logs.filter((line) => line["reason"] === "drain").length === 20);
});

test("a second close() waits for the first, and nothing listens any more", async () => {
  const { url, holdfast } = await serve();
  await Promise.all([holdfast.close(), holdfast.close()]);
  await expect(fetch(`${url}/healthz`)).rejects.toThrow("fetch failed");
  await expect(holdfast.listen()).rejects.toMatchObject({ code: "DRAINING" });
});

test("a client that takes nothing can't hold close() up for longer than its grace", async () => {
  const { port, holdfast } = await serve();
  const socket = connect(port, "127.0.0.1");
  const closed = new Promise((resolve) => void socket.once("close", resolve));
  socket.on("error", () => undefined);
  socket.write(
    "POST /api/v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n{",
  );
  // "100 Continue": the server has the head, and waits for the rest.
  await new Promise((resolve) => void socket.once("data", resolve));
  // The grace is 5 s; a request that is left alone would be read for 60 s, which is beyond the time of a test.
  await expect(holdfast.close()).resolves.toBeUndefined();
  await closed;
});

test("while draining, an embedded service is not ready and opens no stream", async () => {
  const store = new MemoryStore();
  const holdfast = await createHoldfast({ store });
  await holdfast.tasks.create({ id: "job" });
  const host = createServer((request, response) => holdfast.handler(request, response));
  await new Promise((resolve) => void host.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = host.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  try {
    const closing = holdfast.close();
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
    const stream = await fetch(`http://127.0.0.1:${port}/api/v1/tasks/job/stream`);
    expect([ready.status, stream.status]).toEqual([503, 503]);
    expect(stream.headers.get("retry-after")).not.toBeNull();
    await closing;
  } finally {
    host.closeAllConnections();
    host.close();
  }
});

test("tasks survive a restart on the same data directory, which two servers can't share", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "holdfast-data-"));
  try {
    const first = await createHoldfast({ dataDir });
    await (await first.tasks.create({ id: "kept" })).complete({ n: 1 });
    await expect(createHoldfast({ dataDir })).rejects.toThrow(/in use by another server/);
    await first.close();
    const second = await createHoldfast({ dataDir });
    expect(await second.tasks.get("kept")).toMatchObject({ status: "completed", result: { n: 1 } });
    await second.close();
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

test("a data directory that can't be made is named with its reason", async () => {
  const dataDir = "/proc/version/data"; // a file in the way stops root as well, whom a mode would not
  await expect(createHoldfast({ dataDir })).rejects.toThrow(`data directory ${dataDir} can't be used`);
});

test("close() parks an upload that is still coming; after a restart it is gone on with, and no byte is lost", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "holdfast-data-"));
  try {
    const first = await createHoldfast({ dataDir, port: 0 });
    const { port } = await first.listen();
    const tus = "Host: a\r\nTus-Resumable: 1.0.0\r\n";
    const made = await talk(
      port,
      `POST /api/v1/uploads HTTP/1.1\r\n${tus}Upload-Length: 10\r\nConnection: close\r\n\r\n`,
    );
    const location = /location: (\S+)/i.exec(made)?.[1] ?? "";
    const patch = `PATCH ${location} HTTP/1.1\r\n${tus}Content-Type: application/offset+octet-stream\r\n`;
    const cut = talk(port, `${patch}Upload-Offset: 0\r\nContent-Length: 10\r\n\r\nhello`);
    const api = `http://127.0.0.1:${port}`;
    await expect
      .poll(async () => await (await fetch(`${api}${location}`)).json())
      .toMatchObject({ uploaded: 5 });
    await first.close();
    await cut;

    const second = await createHoldfast({ dataDir, port: 0 });
    const { port: again } = await second.listen();
    const head = await talk(again, `HEAD ${location} HTTP/1.1\r\n${tus}Connection: close\r\n\r\n`);
    expect(head).toMatch(/upload-offset: 5\r\n/i);
    await talk(again, `${patch}Upload-Offset: 5\r\nContent-Length: 5\r\nConnection: close\r\n\r\nworld`);
    const content = await talk(
      again,
      `GET ${location}/content HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
    );
    expect(content).toMatch(/\r\n\r\nhelloworld$/);
    await second.close();
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});
