/** Clients that are slow on purpose, or gone halfway, cost a bounded time and leave the truth behind. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EventReader } from "../harness/event-reader.js";
import { callHttp, callJson } from "../harness/http-call.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { RawSocket } from "./raw-socket.js";

const HEADER_TIMEOUT_MS = 1_000;
const READ_TIMEOUT_MS = 1_000;
const { dataDir, remove } = makeDataDir();
let server: ServerProcess;
let url: string;

beforeAll(async () => {
  ({ server, url } = await ServerProcess.start({
    dataDir,
    flags: [
      "--log-level=error",
      "--min-free-disk=0B",
      `--header-timeout=${HEADER_TIMEOUT_MS}ms`,
      `--read-timeout=${READ_TIMEOUT_MS}ms`,
      "--heartbeat=500ms",
    ],
  }));
});

afterAll(async () => {
  await server.kill();
  remove();
});

async function createUpload(id: string, total: number): Promise<void> {
  const { status } = await callJson(`${url}/api/v1/uploads`, { json: { id, filename: `${id}.bin`, total } });
  expect(status).toBe(201);
}

/** One more byte every 100 ms until the server has had enough, or for so long. */
async function drip(socket: RawSocket, bytes: string, maxMs: number): Promise<number> {
  const startedMs = performance.now();
  let closed = false;
  void socket.closed.then(() => {
    closed = true;
  });
  while (!closed && performance.now() - startedMs < maxMs) {
    socket.write(bytes);
    await pause(100);
  }
  return performance.now() - startedMs;
}

test("a head that comes byte by byte is refused within twice the header timeout", async () => {
  const socket = await RawSocket.open(url);
  socket.write("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
  const tookMs = await drip(socket, "x", 10_000);
  expect(tookMs).toBeLessThan(2 * HEADER_TIMEOUT_MS + 500);
  expect(socket.heard).toMatch(/^HTTP\/1\.1 408 /);
  socket.destroy();
});

test("two hundred slow heads do not keep others waiting", async () => {
  const sockets = await Promise.all(Array.from({ length: 200 }, async () => await RawSocket.open(url)));
  for (const socket of sockets) socket.write("POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  expect((await callHttp(`${url}/healthz`)).status).toBe(200);
  // Answered while the slow ones were still being waited for.
  expect(sockets.map(({ heard }) => heard).join("")).toBe("");
  const closed = await Promise.all(sockets.map(async (socket) => await socket.closedWithin(5_000)));
  expect(closed.every((one) => one)).toBe(true);
});

test("a JSON body that stalls is given up within a few read timeouts", async () => {
  const socket = await RawSocket.open(url);
  socket.write(
    "POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
  );
  expect(await socket.closedWithin(5 * READ_TIMEOUT_MS)).toBe(true);
});

test("an upload that stalls is let go, keeps what was stored, and can be gone on with", async () => {
  await createUpload("stalled", 1_000);
  const socket = await RawSocket.open(url);
  socket.write("PUT /api/v1/uploads/stalled/content HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
  socket.write("a".repeat(400));
  expect(await socket.closedWithin(10 * READ_TIMEOUT_MS)).toBe(true);
  const { json } = await callJson(`${url}/api/v1/uploads/stalled`);
  expect(json).toMatchObject({ status: "uploading", uploaded: 400, total: 1_000 });
  const rest = await callHttp(`${url}/api/v1/uploads/stalled`, {
    method: "PATCH",
    headers: {
      "Tus-Resumable": "1.0.0",
      "Upload-Offset": "400",
      "Content-Type": "application/offset+octet-stream",
    },
    body: "b".repeat(600),
  });
  expect(rest.status).toBe(204);
  const content = await callHttp(`${url}/api/v1/uploads/stalled/content`);
  expect(content.body.toString()).toBe("a".repeat(400) + "b".repeat(600));
});

test("an upload that is slow but moves has no deadline", async () => {
  await createUpload("slow", 40);
  const answer = await callHttp(`${url}/api/v1/uploads/slow/content`, {
    method: "PUT",
    headers: { "Content-Length": "40" },
    body: async (request) => {
      for (let byte = 0; byte < 40; byte += 1) {
        request.write("x");
        await pause(100);
      }
    },
  });
  expect(answer.status).toBe(200);
});

test("a client that closes its half in mid-upload leaves an incomplete upload, never a padded file", async () => {
  await createUpload("half", 1_000);
  const reader = new EventReader(`${url}/api/v1/uploads/half/stream`);
  await reader.first("connected");
  const socket = await RawSocket.open(url);
  socket.write("PUT /api/v1/uploads/half/content HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
  socket.write("a".repeat(500));
  await pause(100);
  socket.end();
  expect(await socket.closedWithin(5_000)).toBe(true);
  await pause(300);
  const { json } = await callJson(`${url}/api/v1/uploads/half`);
  expect(json).toMatchObject({ status: "uploading", uploaded: 500, total: 1_000, percentage: 50 });
  expect(reader.named("complete")).toHaveLength(0);
  reader.close();
});

test("a one-shot that is closed halfway has failed with UPLOAD_INCOMPLETE, and says so in the stream", async () => {
  await createUpload("shot", 1_000);
  const reader = new EventReader(`${url}/api/v1/uploads/shot/stream`);
  await reader.first("connected");
  const socket = await RawSocket.open(url);
  socket.write(
    "POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nUpload-Task-Id: shot\r\nContent-Length: 1000\r\n\r\n",
  );
  socket.write("a".repeat(500));
  await pause(100);
  socket.end();
  const failed = await reader.first("failed");
  expect(failed.data["error"]).toMatchObject({ code: "UPLOAD_INCOMPLETE" });
  expect(await reader.ended).toEqual({ kind: "ended" });
  const { json } = await callJson(`${url}/api/v1/uploads/shot`);
  expect(json).toMatchObject({ status: "failed", uploaded: 500, error: { code: "UPLOAD_INCOMPLETE" } });
});

test("streams outlive every timeout of requests", async () => {
  await callJson(`${url}/api/v1/tasks`, { json: { id: "patient" } });
  const reader = new EventReader(`${url}/api/v1/tasks/patient/stream`);
  await reader.first("connected");
  await pause(3 * HEADER_TIMEOUT_MS);
  await callJson(`${url}/api/v1/tasks/patient/events`, {
    json: { type: "complete", data: { result: null } },
  });
  await reader.first("complete");
  expect(await reader.ended).toEqual({ kind: "ended" });
});
