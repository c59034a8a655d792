/**
 * Bad input to the uploads: each a clear problem document, nothing stored, nothing crashed.
 */
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { closeServed, HEAD, json, serve, talk } from "./served.test.kit.js";
import { begin, BYTES, create, problem, task, TUS } from "./upload.test.kit.js";

afterEach(closeServed);

test("a body longer than announced is refused, stores nothing beyond, and does not look whole", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 10 });
  const socket = await begin(served, `PUT /api/v1/uploads/${id}/content HTTP/1.1`);
  const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  socket.write("Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
  expect(await answer).toMatch(/^HTTP\/1.1 413 /);
  expect(await task(served, id)).toMatchObject({ status: "uploading", total: 10 });
  expect((await task(served, id)).uploaded).toBeLessThan(10);
  socket.destroy();
  const long = await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "0123456789abc" });
  expect([long.status, await problem(long)]).toEqual([413, "UPLOAD_TOO_LARGE"]);
});

test("a body shorter than the whole is refused before a byte is stored", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 10 });
  const short = await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "0123" });
  expect([short.status, await problem(short)]).toEqual([422, "INVALID_FIELD"]);
  expect((await task(served, id)).uploaded).toBe(0);
});

test("an upload above the bound, or that does not fit the disk, is refused before a byte is stored", async () => {
  const small = await serve({ maxUploadBytes: 100 });
  for (const answer of [
    await fetch(`${small.api}/uploads`, json("POST", { total: 101 })),
    await fetch(`${small.api}/uploads`, { method: "POST", headers: { ...TUS, "Upload-Length": "101" } }),
    await fetch(`${small.api}/uploads`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: "x".repeat(101),
    }),
  ]) {
    expect([answer.status, await problem(answer)]).toEqual([413, "UPLOAD_TOO_LARGE"]);
  }
  const options = await fetch(`${small.api}/uploads`, { method: "OPTIONS" });
  expect(options.headers.get("tus-max-size")).toBe("100");
  const full = await serve({ minFreeDiskBytes: Number.MAX_SAFE_INTEGER });
  const answer = await fetch(`${full.api}/uploads`, json("POST", { total: 1 }));
  expect([answer.status, await problem(answer)]).toEqual([507, "INSUFFICIENT_STORAGE"]);
  expect(answer.headers.get("retry-after")).toBe("60");
});

test("a form beyond the bounds is refused, not shortened", async () => {
  const served = await serve();
  const many = new FormData();
  for (let i = 0; i < 101; i += 1) many.append("f", new Blob(["x"]), `f${i}`);
  const long = new FormData();
  long.set("note", "n".repeat(5_000));
  long.set("f", new Blob(["x"]), "f");
  const fields = new FormData();
  for (let i = 0; i < 65; i += 1) fields.append(`n${i}`, "x");
  fields.set("f", new Blob(["x"]), "f");
  for (const [body, stored] of [
    [long, 0],
    [fields, 0],
    [many, 100],
  ] as const) {
    const answer = await fetch(`${served.api}/uploads`, { method: "POST", body });
    expect([answer.status, await problem(answer)]).toEqual([422, "INVALID_FIELD"]);
    const list = await fetch(`${served.api}/uploads?limit=200`);
    expect(((await list.json()) as { items: unknown[] }).items).toHaveLength(stored);
  }
  // A hundred files, each in a folder that is synced: up to a minute on a slow disk that others use too.
}, 120_000);

test("a huge body that is refused is not read for long, and its client gets the answer", async () => {
  const served = await serve();
  const lines = ["PATCH /api/v1/uploads/none", "PUT /api/v1/uploads/none/content", "POST /api/v1/uploads"];
  const answers = lines.map(async (line) => {
    const socket = await begin(served, `${line} HTTP/1.1`);
    let answer = "";
    socket.on("data", (data: Buffer) => (answer += data.toString()));
    socket.write(`Content-Type: text/plain\r\nTus-Resumable: 1.0.0\r\nContent-Length: ${10 ** 12}\r\n\r\n`);
    const chunk = Buffer.alloc(65_536);
    const drip = setInterval(() => socket.write(chunk), 10);
    await new Promise<void>((resolve) => socket.once("close", () => resolve()));
    clearInterval(drip);
    return answer;
  });
  for (const answer of await Promise.all(answers)) {
    expect(answer).toMatch(/^HTTP\/1.1 4\d\d /);
    expect(answer).toMatch(/tus-resumable: 1.0.0/i);
  }
});

const wrong: readonly [string, RequestInit & { path?: string }, number][] = [
  ["no length", { method: "POST", headers: TUS }, 400],
  [
    "both lengths",
    { method: "POST", headers: { ...TUS, "Upload-Length": "1", "Upload-Defer-Length": "1" } },
    400,
  ],
  ["half a number", { method: "POST", headers: { ...TUS, "Upload-Length": "12abc" } }, 400],
  ["a negative length", { method: "POST", headers: { ...TUS, "Upload-Length": "-1" } }, 400],
  [
    "a length beyond exact numbers",
    { method: "POST", headers: { ...TUS, "Upload-Length": "9007199254740993" } },
    400,
  ],
  ["another tus", { method: "POST", headers: { "Tus-Resumable": "0.2.0", "Upload-Length": "1" } }, 412],
  [
    "concatenation",
    { method: "POST", headers: { ...TUS, "Upload-Concat": "partial", "Upload-Length": "1" } },
    501,
  ],
  [
    "metadata that is no base64",
    { method: "POST", headers: { ...TUS, "Upload-Length": "1", "Upload-Metadata": "a *" } },
    400,
  ],
  [
    "an id with ../",
    { method: "POST", headers: { ...TUS, "Upload-Length": "1", "Upload-Metadata": "taskId Li4vYQ==" } },
    422,
  ],
  ["no content type", { method: "POST", body: new Uint8Array([1]) }, 415],
  ["a text", { method: "POST", headers: { "Content-Type": "text/plain" }, body: "x" }, 415],
  ["broken JSON", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{" }, 400],
  ["an unknown field", json("POST", { size: 1 }), 422],
  ["a total that is text", json("POST", { total: "1" }), 422],
  ["an id with NUL", json("POST", { id: "a\0b" }), 422],
  ["an id of 10 kB", json("POST", { id: "a".repeat(10_240) }), 422],
  [
    "a form without a boundary",
    { method: "POST", headers: { "Content-Type": "multipart/form-data" }, body: "x" },
    400,
  ],
  [
    "a form without a file",
    {
      method: "POST",
      headers: { "Content-Type": "multipart/form-data; boundary=b" },
      body: '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
    },
    422,
  ],
  [
    "PATCH of nobody",
    { path: "/none", method: "PATCH", headers: { ...BYTES, "Upload-Offset": "0" }, body: "x" },
    404,
  ],
  [
    "PATCH with another type",
    {
      path: "/u",
      method: "PATCH",
      headers: { ...TUS, "Content-Type": "text/plain", "Upload-Offset": "0" },
      body: "x",
    },
    415,
  ],
  ["PATCH without offset", { path: "/u", method: "PATCH", headers: BYTES, body: "x" }, 400],
  ["PATCH without tus", { path: "/u", method: "PATCH", body: "x" }, 412],
  [
    "PATCH at another offset",
    { path: "/u", method: "PATCH", headers: { ...BYTES, "Upload-Offset": "5" }, body: "x" },
    409,
  ],
  [
    "PATCH beyond the end",
    { path: "/u", method: "PATCH", headers: { ...BYTES, "Upload-Offset": "0" }, body: "x".repeat(11) },
    413,
  ],
  [
    "PATCH that changes the length",
    {
      path: "/u",
      method: "PATCH",
      headers: { ...BYTES, "Upload-Offset": "0", "Upload-Length": "99" },
      body: "x",
    },
    422,
  ],
  ["PUT on the upload itself", { path: "/u", method: "PUT", body: "x" }, 405],
  ["an id with encoded ../", { path: "/%2e%2e%2fx", method: "GET" }, 404],
  ["an id with encoded NUL", { path: "/a%00b", method: "GET" }, 404],
  ["a bad status filter", { path: "?status=done", method: "GET" }, 422],
];

test.each(wrong)(
  "%s is refused with a problem document, and nothing changes",
  async (_name, { path = "", ...init }, status) => {
    const served = await serve();
    await create(served, { id: "u", total: 10 });
    const answer = await fetch(`${served.api}/uploads${path}`, init);
    expect(answer.status).toBe(status);
    await problem(answer);
    expect(await task(served, "u")).toMatchObject({ status: "pending", uploaded: 0 });
  },
);

test("whatever the headers of a POST or PATCH say, the answer is no 5xx and the server stays", async () => {
  const served = await serve();
  await create(served, { id: "u", total: 10 });
  const value = fc.oneof(
    fc.constantFrom(
      "1",
      "0",
      "-1",
      "1e3",
      "",
      "bytes 0-1/2",
      "1.0.0",
      "application/offset+octet-stream",
      "application/json",
    ),
    fc.string({ unit: "grapheme-ascii", maxLength: 40 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, "")),
  );
  const name = fc.constantFrom(
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Defer-Length",
    "Upload-Metadata",
    "Upload-Concat",
    "Upload-Task-Id",
    "X-File-Name",
    "Content-Type",
    "Content-Range",
    "X-HTTP-Method-Override",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("POST", "PATCH", "PUT", "HEAD", "DELETE"),
      fc.constantFrom("", "/u", "/u/content", "/none"),
      fc.dictionary(name, value),
      fc.string({ maxLength: 20 }),
      async (method, path, headers, text) => {
        const body = method === "HEAD" ? {} : { body: text };
        const answer = await fetch(`${served.api}/uploads${path}`, { method, headers, ...body });
        await answer.arrayBuffer();
        expect(answer.status === 501 || answer.status < 500).toBe(true);
      },
    ),
    { numRuns: 150 },
  );
  expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
}, 60_000);

test.each([
  ["before its first file", ""],
  ["within a field", '--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nab'],
  [
    "after its last file",
    '--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc\r\n--b\r\n',
  ],
])("a form that falls silent %s is given up", async (_where, text) => {
  const served = await serve({ readTimeoutMs: 100 });
  const head =
    "POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n";
  const answer = await talk(served.port, `${head}Content-Length: 9999\r\n\r\n${text}`, HEAD);
  expect(answer).toMatch(/^HTTP\/1.1 400 /);
  expect(answer).toContain("read-timeout");
});

test("what would weigh on every stream, or nests without bound, is refused with the bound", async () => {
  const { api } = await serve();
  for (const [path, body, code] of [
    ["tasks", { metadata: { text: "x".repeat(16_384) } }, "INVALID_FIELD"],
    ["uploads", { metadata: { text: "x".repeat(16_384) } }, "INVALID_FIELD"],
    ["batches", { metadata: { text: "x".repeat(16_384) } }, "INVALID_FIELD"],
    ["tasks", `{"metadata":{"a":${"[".repeat(60_000)}${"]".repeat(60_000)}}}`, "INVALID_REQUEST"],
    ["tasks", `{"title":"[[[","metadata":{"a":${"[".repeat(60)}"]"${"]".repeat(60)}}}`, undefined],
  ] as const) {
    const sent = json("POST", {});
    const answer = await fetch(`${api}/${path}`, {
      ...sent,
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    expect([path, code === undefined ? answer.status : await problem(answer)]).toEqual([path, code ?? 201]);
  }
});
