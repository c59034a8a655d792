import { once } from "node:events";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { createHoldfast } from "../holdfast.js";
import { OptionError } from "../options.js";
import { MemoryStore } from "../stores/memory-store.js";
import { closeServed, json, serve, talk } from "./served.test.kit.js";
import { TLS } from "./tls.test.kit.js";

afterEach(closeServed);

async function isProblem(response: Response): Promise<boolean> {
  if (response.headers.get("content-type") !== "application/problem+json; charset=utf-8") return false;
  const { status, code, detail } = (await response.json()) as { [name: string]: unknown };
  return status === response.status && typeof code === "string" && typeof detail === "string";
}

test("a head that never becomes whole is answered 408 and closed soon after the header timeout", async () => {
  const { port } = await serve({ headerTimeoutMs: 200 });
  // Node alone looks after such heads every 30 s, which is beyond the time of a test.
  const text = await talk(port, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ");
  expect(text).toMatch(/^HTTP\/1\.1 408 /);
  expect(text).toContain("application/problem+json");
  expect(text).toContain("header-timeout");
});

test("a connection that says nothing at all is closed too", async () => {
  const { port } = await serve({ headerTimeoutMs: 200 });
  expect(await talk(port, "")).toContain("header-timeout");
});

test("closing does not wait for a connection that was made ahead of its request", async () => {
  const { port, holdfast, logs } = await serve();
  const ahead = connect(port, "127.0.0.1");
  await once(ahead, "connect");
  const gone = once(ahead, "close");
  ahead.on("error", () => undefined);
  const startedAtMs = performance.now();
  await holdfast.close();
  await gone;
  // Requests under way would get 5 s.
  expect(performance.now() - startedAtMs).toBeLessThan(4_000);
  expect(logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
});

test("a JSON body that trickles in is cut at the read timeout", async () => {
  const { port } = await serve({ readTimeoutMs: 200 });
  const text = await talk(
    port,
    'POST /api/v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"id"',
  );
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(text).toContain("read-timeout");
});

test("a head above 16 KiB is answered 431", async () => {
  const { port } = await serve();
  const text = await talk(port, `GET / HTTP/1.1\r\nHost: a\r\nX-Big: ${"x".repeat(20_000)}\r\n\r\n`);
  expect(text).toMatch(/^HTTP\/1\.1 431 /);
  expect(text).toContain('"code":"HEADERS_TOO_LARGE"');
});

test("a head that can't be parsed is logged without its bytes, which may hold a token", async () => {
  const { port, logs } = await serve();
  const text = await talk(port, "GET /healthz?token=s3cret HTTP/1.1\r\nHost: a\r\nno colon here\r\n\r\n");
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(logs).toContainEqual(
    expect.objectContaining({ msg: "request refused by the parser", code: "HPE_INVALID_HEADER_TOKEN" }),
  );
  const raw = JSON.stringify(logs);
  expect(raw).not.toContain("s3cret");
  expect(raw).not.toContain(JSON.stringify([...Buffer.from("s3cret")]).slice(1, -1));
});

/** Of an answer that is no `100 Continue`. */
const FINAL_HEAD = /^HTTP\/1\.[01] [2-5][^]*\r\n\r\n/m;

test("whatever bytes a client sends, it never gets a 5xx, and the server lives on", async () => {
  const { port, url } = await serve({ headerTimeoutMs: 100, readTimeoutMs: 100 });
  const method = fc.constantFrom(
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "HEAD",
    "PATCH",
    "PROPFIND",
    "TRACE",
    "get",
    "",
  );
  const path = fc.oneof(
    fc.constantFrom(
      "/api/v1/tasks",
      "/api/v1/tasks/a/events",
      "/api/v1/stream?task=a",
      "/api/v1/tasks/a/stream",
      "/api/v1/uploads",
      "/api/v1/uploads/a",
      "/api/v1/uploads/a/content",
      "*",
      "",
    ),
    fc.string({ maxLength: 40 }).map((text) => `/api/v1/tasks/${text}`),
    fc.webPath().map((text) => `/api/v1${text}`),
  );
  const header = fc.oneof(
    fc.constantFrom(
      "Content-Type: application/json",
      "Content-Type: application/x-ndjson",
      "Content-Type: application/octet-stream",
      "Content-Type: application/offset+octet-stream",
      "Content-Type: multipart/form-data; boundary=b",
      "Content-Type: multipart/form-data",
      "Tus-Resumable: 1.0.0",
      "Upload-Offset: 0",
      "Upload-Length: 5",
      "Upload-Length: 99999999999999999999",
      "Upload-Metadata: filename !!!,a",
      "Upload-Task-Id: a",
      "Content-Range: bytes 0-4/5",
      "Content-Length: 5",
      "Content-Length: -1",
      "Transfer-Encoding: chunked",
      "Accept: nonsense;;q=",
      "Last-Event-ID: \xff\x01",
      "Connection: close",
      "Authorization: Bearer ",
      "Cookie: ;;;=",
      "Expect: 100-continue",
      "Upgrade: websocket",
    ),
    fc.string({ maxLength: 60 }),
  );
  const body = fc.oneof(fc.json(), fc.string({ maxLength: 80 }), fc.constant('5\r\n{"a":\r\nzz\r\n'));
  const message = fc.record({
    method,
    path,
    headers: fc.array(header, { maxLength: 4 }),
    body,
    version: fc.constantFrom("1.1", "1.0", "2.0", "9"),
  });
  await fc.assert(
    fc.asyncProperty(message, async ({ method: verb, path: target, headers, body: content, version }) => {
      const head = [`${verb} ${target} HTTP/${version}`, "Host: a", "Connection: close", ...headers].join(
        "\r\n",
      );
      const text = await talk(port, Buffer.from(`${head}\r\n\r\n${content}`, "latin1"), FINAL_HEAD);
      expect(text).not.toMatch(/^HTTP\/1\.[01] 5(?!05)\d\d/m);
    }),
    { numRuns: 150 },
  );
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
}, 60_000);

test("whatever JSON a client sends, the answer is no 5xx and every refusal is a problem document", async () => {
  const { api } = await serve();
  await fetch(`${api}/tasks`, json("POST", { id: "fuzzed", maxAttempts: 3 }));
  const routes = fc.constantFrom("tasks", "tasks/fuzzed/events", "batches", "stream");
  const type = fc.constantFrom("progress", "stage", "fail", "page.done", "open", "Ä", "");
  const report = fc.record(
    { type, attempt: fc.anything(), leaseSeconds: fc.anything(), data: fc.anything() },
    { requiredKeys: ["type"] },
  );
  await fc.assert(
    fc.asyncProperty(routes, fc.oneof(report, fc.object(), fc.jsonValue()), async (route, body) => {
      const leaving = new AbortController();
      const text =
        JSON.stringify(body, (_key, value: unknown) => (typeof value === "bigint" ? Number(value) : value)) ??
        "";
      const response = await fetch(`${api}/${route}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: text,
        signal: leaving.signal,
      });
      expect(response.status).toBeLessThan(500);
      const told = response.status < 400 || (await isProblem(response));
      expect(told).toBe(true);
      leaving.abort();
    }),
    { numRuns: 150 },
  );
}, 60_000);

// More than the kernel holds on both sides.
const LARGE_BYTES = 40_000_000;

test("an answer that its client does not take is let go at the write timeout", async () => {
  const { port, api } = await serve({ writeTimeoutMs: 200 });
  const posted = await fetch(`${api}/uploads`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: new Uint8Array(LARGE_BYTES),
  });
  const { id } = (await posted.json()) as { id: string };
  let received = 0;
  const letGo = new Promise((resolve) => {
    subscribe("net.server.socket", function onSocket(message) {
      const { socket: accepted } = message as { readonly socket: Socket };
      if (accepted.remotePort !== socket.localPort) return;
      unsubscribe("net.server.socket", onSocket);
      accepted.once("close", resolve);
    });
  });
  const path = `/api/v1/uploads/${id}/content`;
  const socket = connect(
    port,
    "127.0.0.1",
    () => void socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`),
  );
  socket.on("error", () => undefined); // reset by the server: what is expected
  socket.pause();
  // The client hears nothing before it reads: the server's end of the connection says when it was let go.
  await letGo;
  const closed = new Promise((resolve) => void socket.once("close", resolve));
  socket.on("data", (chunk: Buffer) => {
    received += chunk.byteLength;
  });
  socket.resume();
  await closed;
  expect(received).toBeLessThan(LARGE_BYTES);
});

test("HTTP/1.0 gets no chunked coding, and its stream ends by closing", async () => {
  const { port, api } = await serve();
  await fetch(`${api}/tasks`, json("POST", { id: "old" }));
  await fetch(`${api}/tasks/old/events`, json("POST", { type: "complete", data: { result: 1 } }));
  const text = await talk(port, "GET /api/v1/tasks/old/stream HTTP/1.0\r\n\r\n");
  expect(text).not.toMatch(/transfer-encoding/i);
  expect(text).toMatch(/\r\n\r\nretry: 1000\n/);
  expect(text).toContain("event: complete\n");
});

test("over TLS, ALPN offers http/1.1 alone, and plain HTTP on that port harms nothing", async () => {
  const { port } = await serve({ tls: TLS });
  const chosen = await new Promise((resolve, reject) => {
    const socket = connectTls(
      { port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2", "http/1.1"] },
      () => {
        resolve(socket.alpnProtocol);
        socket.destroy();
      },
    );
    socket.on("error", reject);
  });
  expect(chosen).toBe("http/1.1");
  const onlyHttp2 = await new Promise((resolve) => {
    const socket = connectTls(
      { port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] },
      () => resolve("connected"),
    );
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
  expect(onlyHttp2).toBe("ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
  await talk(port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
});

test("a host beyond loopback is refused unless somebody decides who may", async () => {
  const refused = await createHoldfast({ host: "0.0.0.0", port: 0, store: new MemoryStore() });
  await expect(refused.listen()).rejects.toThrow(/host 0\.0\.0\.0 can be reached from other machines/);
  await refused.close();
  for (const opening of [{ insecure: true }, { authSecret: "s".repeat(32) }, { authorize: () => true }]) {
    const { port } = await serve({ host: "0.0.0.0", ...opening });
    expect(port).toBeGreaterThan(0);
  }
});

test("a port that is taken is said with its number", async () => {
  const { port } = await serve();
  const second = await createHoldfast({ port, store: new MemoryStore() });
  await expect(second.listen()).rejects.toThrow(OptionError);
  await expect(second.listen()).rejects.toThrow(`port ${port} on 127.0.0.1 is taken`);
  await second.close();
});
