import { createServer, type RequestListener, type Server } from "node:http";
import { connect, constants, createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { createGzip } from "node:zlib";
import express, { type RequestHandler } from "express";
import { afterEach, expect, test } from "vitest";
import { http1OnlyMiddleware } from "./http1-only-middleware.js";
import { noBufferMiddleware } from "./no-buffer-middleware.js";
import { talk, until } from "./served.test.kit.js";
import { sseMiddleware } from "./sse-middleware.js";

const servers: { close(): unknown; closeAllConnections?(): void }[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.();
    server.close();
  }
});

async function listen(handler: RequestListener): Promise<{ readonly port: number; readonly server: Server }> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise((resolve) => void server.listen(0, "127.0.0.1", () => resolve(undefined)));
  return { port: (server.address() as AddressInfo).port, server };
}

/**
 * As `compression` does it: decides when the head is written, heeds `no-transform` unless obstinate, and holds back until flushed.
 */
function compressing({ obstinate }: { readonly obstinate: boolean }): RequestHandler {
  return (request, response, next) => {
    const write = response.write.bind(response) as (chunk: Buffer) => boolean;
    const end = response.end.bind(response) as () => typeof response;
    const gzip = createGzip();
    gzip.on("data", write);
    gzip.on("end", end);
    let compress: boolean | undefined;
    const decide = (): boolean => {
      const asked = /gzip/.test(request.headers["accept-encoding"] ?? "");
      const forbidden = /no-transform/.test(String(response.getHeader("Cache-Control")));
      compress ??= obstinate || (asked && !forbidden);
      if (compress && !response.headersSent) response.setHeader("Content-Encoding", "gzip");
      return compress;
    };
    response.write = (chunk: string | Buffer): boolean =>
      decide() ? gzip.write(chunk) : write(Buffer.from(chunk));
    response.end = (() => (decide() ? (gzip.end(), response) : end())) as typeof response.end;
    Object.assign(response, { flush: () => gzip.flush() });
    next();
  };
}

const ASK_FOR_GZIP = "GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n";

test("a compressor mounted before lets the stream through unpacked and at once", async () => {
  const app = express().use(compressing({ obstinate: false }));
  app.get(
    "/",
    sseMiddleware(),
    noBufferMiddleware(),
    (_request, response) => void response.write("data: 1\n\n"),
  );
  const { port } = await listen(app);
  const text = await talk(port, ASK_FOR_GZIP, /data: 1\n\n/);
  expect(text).not.toMatch(/content-encoding/i);
});

test("a compressor that packs all the same is flushed after every write", async () => {
  const app = express().use(compressing({ obstinate: true }));
  app.get(
    "/",
    noBufferMiddleware(),
    sseMiddleware(),
    (_request, response) => void response.write("data: 1\n\n"),
  );
  const { port } = await listen(app);
  // The gzip head alone has 10 bytes.
  const text = await talk(port, ASK_FOR_GZIP, /\r\n\r\n[^]{21}/);
  expect(text).toMatch(/content-encoding: gzip/i);
});

test("noBufferMiddleware adds to a Cache-Control that is there, and takes Accept-Encoding from compressors behind it", async () => {
  let acceptEncoding: string | undefined = "unset";
  const app = express().use((_request, response, next) => {
    response.setHeader("Cache-Control", "private");
    next();
  });
  app.get("/", noBufferMiddleware(), (request, response) => {
    acceptEncoding = request.headers["accept-encoding"];
    response.end("x");
  });
  const { port } = await listen(app);
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { "Accept-Encoding": "gzip" } });
  expect(response.headers.get("cache-control")).toBe("private, no-transform");
  expect(response.headers.get("x-accel-buffering")).toBe("no");
  expect(acceptEncoding).toBeUndefined();
});

test("sseMiddleware lifts the server's deadlines from its stream", async () => {
  const app = express();
  const deadline: RequestHandler = (request, _response, next) => {
    // As `server.setTimeout(100)` does it, but not before the request is there.
    request.socket.setTimeout(100);
    next();
  };
  app.get("/", deadline, sseMiddleware(), (_request, response) => {
    response.write("data: 1\n\n");
    setTimeout(() => response.end("data: 2\n\n"), 300);
  });
  const { port } = await listen(app);
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("data: 1\n\ndata: 2\n\n");
});

test("sseMiddleware logs begin and end with the whole path, and never the query", async () => {
  const lines: unknown[] = [];
  const logger = { info: (line: object, message: string) => void lines.push({ ...line, message }) };
  const router = express.Router();
  router.get("/events", sseMiddleware({ logger }), (_request, response) => void response.end("data: 1\n\n"));
  const { port } = await listen(express().use("/live", router));
  await (await fetch(`http://127.0.0.1:${port}/live/events?token=secret`)).text();
  await until(() => lines.length === 2);
  expect(lines).toEqual([
    { method: "GET", path: "/live/events", message: "stream opened" },
    {
      method: "GET",
      path: "/live/events",
      status: 200,
      durationMs: expect.any(Number),
      reason: "ended",
      message: "stream ended",
    },
  ]);
});

test("http1OnlyMiddleware lets HTTP/1.1 pass and resets an HTTP/2 stream with HTTP_1_1_REQUIRED", async () => {
  const http1Only = http1OnlyMiddleware();
  const { port } = await listen((request, response) =>
    http1Only(request, response, () => void response.end("passed")),
  );
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("passed");

  const server = createHttp2Server((request, response) => {
    http1Only(request, response, () => response.end("passed"));
  });
  servers.push(server);
  await new Promise((resolve) => void server.listen(0, "127.0.0.1", () => resolve(undefined)));
  const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const stream = session.request({ ":path": "/" });
  const code = await new Promise((resolve) => {
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(stream.rstCode));
  });
  session.close();
  expect(code).toBe(constants.NGHTTP2_HTTP_1_1_REQUIRED);
});

test("where an HTTP/2 stream can't be reached the answer is 505", async () => {
  const http1Only = http1OnlyMiddleware();
  const { port } = await listen((request, response) => {
    request.httpVersionMajor = 2;
    http1Only(request, response, () => void response.end("passed"));
  });
  const response = await fetch(`http://127.0.0.1:${port}/`);
  expect(response.status).toBe(505);
  expect(await response.json()).toMatchObject({ code: "HTTP_1_1_REQUIRED" });
});
