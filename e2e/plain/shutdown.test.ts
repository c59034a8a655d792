/** SIGTERM: every stream is told when to come back, uploads are parked, the process ends by itself, and nothing is lost. */
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { EventReader } from "../harness/event-reader.js";
import { callHttp, callJson } from "../harness/http-call.js";
import { randomBytesOf } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { RawSocket } from "./raw-socket.js";

// Far longer than an end may take: nobody waits for the window to pass.
const DRAIN_WINDOW_MS = 60_000;
const FLAGS = ["--log-level=error", "--min-free-disk=0B", `--drain-window=${DRAIN_WINDOW_MS}ms`];
const TUS = { "Tus-Resumable": "1.0.0" };
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

async function start(): Promise<{ server: ServerProcess; url: string; dataDir: string; port: number }> {
  const { dataDir, remove } = makeDataDir();
  cleanUps.push(remove);
  const { server, url } = await ServerProcess.start({ dataDir, flags: FLAGS });
  cleanUps.push(async () => await server.kill());
  return { server, url, dataDir, port: Number(new URL(url).port) };
}

test("streams get drain with a time of their own and end cleanly, and the process exits with 0", async () => {
  const { server, url } = await start();
  await callJson(`${url}/api/v1/tasks`, { json: { id: "drained" } });
  const readers = Array.from({ length: 20 }, () => new EventReader(`${url}/api/v1/tasks/drained/stream`));
  await Promise.all(readers.map(async (reader) => await reader.first("connected")));
  const exit = await server.stop();
  expect([exit.code, exit.signal]).toEqual([0, null]);
  expect(exit.elapsedMs).toBeLessThan(DRAIN_WINDOW_MS / 3);
  for (const reader of readers) {
    expect(await reader.ended).toEqual({ kind: "ended" });
    const drain = reader.frames.at(-1);
    expect(drain?.event).toBe("drain");
    expect(Number(drain?.data["reconnectInMs"])).toBeLessThanOrEqual(DRAIN_WINDOW_MS);
    expect(reader.retryMs).toBe(drain?.data["reconnectInMs"]);
  }
  expect(new Set(readers.map(({ retryMs }) => retryMs)).size).toBeGreaterThan(10);
});

test("an upload under way is parked with what it had, and goes on after the restart", async () => {
  const { server, url, dataDir, port } = await start();
  const bytes = randomBytesOf(7, 3_000_000);
  await callJson(`${url}/api/v1/uploads`, {
    json: { id: "parked", filename: "parked.bin", total: bytes.length },
  });
  const socket = await RawSocket.open(url);
  socket.write(
    `PUT /api/v1/uploads/parked/content HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${bytes.length}\r\n\r\n`,
  );
  socket.write(bytes.subarray(0, 1_000_000));
  await pause(200);
  const exit = await server.stop();
  expect(exit.code).toBe(0);
  expect(exit.elapsedMs).toBeLessThan(20_000);

  const again = await ServerProcess.start({ dataDir, port, flags: FLAGS });
  cleanUps.push(async () => await again.server.kill());
  const head = await callHttp(`${url}/api/v1/uploads/parked`, { method: "HEAD", headers: TUS });
  const offset = Number(head.headers["upload-offset"]);
  expect(offset).toBe(1_000_000);
  const rest = await callHttp(`${url}/api/v1/uploads/parked`, {
    method: "PATCH",
    headers: { ...TUS, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" },
    body: bytes.subarray(offset),
  });
  expect(rest.status).toBe(204);
  const content = await callHttp(`${url}/api/v1/uploads/parked/content`);
  expect(content.body.equals(bytes)).toBe(true);
});

test("an upload that is nearly done is let finish before the process ends", async () => {
  const { server, url, dataDir } = await start();
  const bytes = randomBytesOf(8, 500_000);
  await callJson(`${url}/api/v1/uploads`, {
    json: { id: "nearly", filename: "nearly.bin", total: bytes.length },
  });
  const sent = callHttp(`${url}/api/v1/uploads/nearly/content`, {
    method: "PUT",
    headers: { "Content-Length": String(bytes.length) },
    body: async (request) => {
      request.write(bytes.subarray(0, 400_000));
      await pause(600);
      request.write(bytes.subarray(400_000));
    },
  });
  const reader = new EventReader(`${url}/api/v1/uploads/nearly/stream`);
  await reader.first("connected");
  await pause(200);
  const [exit, answer] = await Promise.all([server.stop(), sent]);
  expect([exit.code, answer.status]).toEqual([0, 200]);
  // Who watches it hears its ending now, not after the restart: streams are told to go when uploads have finished.
  expect(await reader.ended).toEqual({ kind: "ended" });
  expect(reader.named("complete")).toHaveLength(1);
  const again = await ServerProcess.start({ dataDir, flags: FLAGS });
  cleanUps.push(async () => await again.server.kill());
  expect((await callJson(`${again.url}/api/v1/uploads/nearly`)).json["status"]).toBe("completed");
});

test("a client that does not read its stream delays the end by a bounded time", async () => {
  const { server, url } = await start();
  await callJson(`${url}/api/v1/tasks`, { json: { id: "deaf" } });
  const deaf = await RawSocket.open(url);
  deaf.write("GET /api/v1/tasks/deaf/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  const half = await RawSocket.open(url);
  half.write(
    "POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
  );
  await pause(200);
  const exit = await server.stop();
  expect(exit.code).toBe(0);
  expect(exit.elapsedMs).toBeLessThan(20_000);
  half.destroy();
  deaf.destroy();
});
