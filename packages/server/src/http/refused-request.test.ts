/** Requests that Node's parser, or Node itself, would refuse or drop on its own: all get a problem document and a clean close. */
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import { closeServed, json, serve, talk } from "./served.test.kit.js";

afterEach(closeServed);

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly problem: { readonly [name: string]: unknown };
}

/** Exactly one answer with a problem document, whole, with `Connection: close`, after which the server has closed. */
function parseOnly(text: string): Answer {
  const [, status = "", head = "", body = ""] =
    /^HTTP\/1\.1 (\d+) [^\r]+\r\n([^]*?)\r\n\r\n([^]*)$/.exec(text) ?? [];
  const headers = new Headers(head.split("\r\n").map((line) => line.split(/: ?/, 2) as [string, string]));
  expect(headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  expect(headers.get("connection")).toBe("close");
  expect(headers.get("content-length")).toBe(String(body.length));
  const problem = JSON.parse(body) as Answer["problem"];
  expect(problem["status"]).toBe(Number(status));
  return { status: Number(status), headers, problem };
}

const POST = "POST /api/v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";

test.each([
  ["no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400, "INVALID_REQUEST", "Host"],
  ["two of Host", "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "INVALID_REQUEST", "Host"],
  [
    "an unknown expectation",
    `${POST}Expect: x\r\nContent-Length: 2\r\n\r\n{}`,
    417,
    "EXPECTATION_FAILED",
    "Expect",
  ],
  [
    "CONNECT",
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    405,
    "METHOD_NOT_ALLOWED",
    undefined,
  ],
  [
    "a coding below chunked",
    `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    501,
    "TRANSFER_CODING",
    "Transfer-Encoding",
  ],
  [
    // [rfc9112 §6.3] where such a body ends can't be known.
    "a coding without chunked",
    `${POST}Transfer-Encoding: gzip

{}`,
    400,
    "INVALID_REQUEST",
    undefined,
  ],
  [
    "chunked twice",
    `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`,
    400,
    "INVALID_REQUEST",
    undefined,
  ],
])(
  "%s is refused with a problem document, and the connection is closed",
  async (_, sent, status, code, field) => {
    const { port, logs } = await serve();
    const answer = parseOnly(await talk(port, sent));
    expect(answer.problem).toMatchObject({ status, code });
    expect(answer.problem["field"]).toBe(field);
    expect(logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
  },
);

test("what is refused is not carried out", async () => {
  const { port, api } = await serve();
  const body = '{"id":"never"}';
  await talk(port, `${POST}Expect: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await talk(
    port,
    `${POST}Transfer-Encoding: x, chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
  );
  expect((await fetch(`${api}/tasks/never`)).status).toBe(404);
});

test("100-continue in any case, HTTP/1.0 without Host, and plain chunked in any case are taken", async () => {
  const { port } = await serve();
  const continued = await talk(
    port,
    `${POST}Connection: close\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n{}`,
  );
  expect(continued).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /);
  expect(await talk(port, "GET /healthz HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 200 /);
  const chunked = await talk(
    port,
    `${POST}Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  );
  expect(chunked).toMatch(/^HTTP\/1\.1 201 /);
});

test("a slow head has a code of its own", async () => {
  const { port } = await serve({ headerTimeoutMs: 200 });
  const { problem } = parseOnly(await talk(port, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: "));
  expect(problem).toMatchObject({ status: 408, code: "REQUEST_TIMEOUT", title: "Request timeout" });
});

test("CONNECT that is followed by bytes at once costs nothing and reveals nothing", async () => {
  const { port, url } = await serve();
  const { status } = parseOnly(
    await talk(port, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01hello"),
  );
  expect(status).toBe(405);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
});

const TUS = { "Tus-Resumable": "1.0.0" };

test("bytes in a content coding are refused wherever bytes come in, and nothing of them is stored", async () => {
  const { api } = await serve();
  const body = gzipSync("hello");
  const coded = { "Content-Encoding": "gzip" };
  for (const id of ["tus", "put"]) await fetch(`${api}/uploads`, json("POST", { id, total: body.length }));
  const ways: readonly (readonly [string, string, { readonly [name: string]: string }])[] = [
    ["POST", "", { "Content-Type": "application/octet-stream" }],
    ["POST", "", { "Content-Type": "multipart/form-data; boundary=b" }],
    ["POST", "", { "Content-Type": "application/json" }],
    ["POST", "", { ...TUS, "Content-Type": "application/offset+octet-stream", "Upload-Length": "25" }],
    ["PATCH", "/tus", { ...TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0" }],
    ["PUT", "/put/content", {}],
  ];
  for (const [method, path, headers] of ways) {
    const response = await fetch(`${api}/uploads${path}`, {
      method,
      headers: { ...coded, ...headers },
      body,
    });
    expect(response.status).toBe(415);
    expect(response.headers.get("accept-encoding")).toBe("identity");
    expect(await response.json()).toMatchObject({
      code: "UNSUPPORTED_MEDIA_TYPE",
      field: "Content-Encoding",
    });
  }
  const { items } = (await (await fetch(`${api}/uploads`)).json()) as {
    items: { id: string; done: number }[];
  };
  expect(Object.fromEntries(items.map(({ id, done }) => [id, done]))).toEqual({ put: 0, tus: 0 });
});

test("identity is no coding", async () => {
  const { api } = await serve();
  const headers = { "Content-Type": "application/octet-stream", "Content-Encoding": "Identity" };
  expect((await fetch(`${api}/uploads`, { method: "POST", headers, body: "hello" })).status).toBe(201);
});

test("JSON in a content coding is told so too, instead of being called broken", async () => {
  const { api } = await serve();
  const headers = { "Content-Type": "application/json", "Content-Encoding": "gzip" };
  const response = await fetch(`${api}/tasks`, { method: "POST", headers, body: gzipSync("{}") });
  expect(response.status).toBe(415);
  expect(response.headers.get("accept-encoding")).toBe("identity");
});

test("what can't be parsed behind a stream that is open cuts it, and puts no answer into it", async () => {
  const { port, api } = await serve();
  await fetch(`${api}/tasks`, json("POST", { id: "open" }));
  const text = await new Promise<string>((resolve) => {
    let heard = "";
    let sent = false;
    const socket = connect(port, "127.0.0.1");
    socket.write("GET /api/v1/tasks/open/stream HTTP/1.1\r\nHost: a\r\n\r\n");
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      heard += chunk;
      if (sent || !heard.includes("event: connected")) return;
      sent = true;
      socket.write("nonsense\r\n\r\n");
    });
    socket.on("error", () => undefined).on("close", () => resolve(heard));
  });
  expect(text).toContain("event: connected\n");
  expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
});

test("a body that the host has decoded and read before us is no longer in its coding", async () => {
  const { holdfast } = await serve();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      Object.assign(request, { body: JSON.parse(gunzipSync(Buffer.concat(chunks)).toString()) as unknown });
      setImmediate(() => holdfast.handler(request, response));
    });
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/tasks`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" },
    body: gzipSync('{"id":"decoded"}'),
  });
  expect(response.status).toBe(201);
  server.closeAllConnections();
  server.close();
});
