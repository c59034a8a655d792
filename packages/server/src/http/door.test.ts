import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { MemoryStore } from "../stores/memory-store.js";
import { closeServed, HEAD, json, serve, talk } from "./served.test.kit.js";

afterEach(closeServed);

test("a path of no route is 404, a wrong method on a known path 405 with Allow", async () => {
  const { api } = await serve();
  const unknown = await fetch(`${api}/nothing`);
  expect(unknown.status).toBe(404);
  expect(unknown.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
  expect(await unknown.json()).toEqual({
    type: "urn:holdfast:error:ROUTE_NOT_FOUND",
    title: "Route not found",
    status: 404,
    code: "ROUTE_NOT_FOUND",
    detail: "no route has this path; /openapi.json lists them all",
  });
  const wrong = await fetch(`${api}/tasks/a/stream`, { method: "PUT" });
  expect(wrong.status).toBe(405);
  expect(wrong.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  expect(await wrong.json()).toMatchObject({ code: "METHOD_NOT_ALLOWED" });
});

test("ids that can't exist are 404, whatever they try", async () => {
  const { api } = await serve();
  const ids = ["..%2f..%2fetc%2fpasswd", "%00", "a%20b", "x".repeat(10_000), "%F0%9F%98%80"];
  const codes = await Promise.all(
    ids.map(async (id) => ((await (await fetch(`${api}/tasks/${id}`)).json()) as { code: string }).code),
  );
  expect(codes).toEqual(ids.map(() => "TASK_NOT_FOUND"));
  expect((await fetch(`${api}/tasks/%zz`)).status).toBe(400);
});

test("a trailing slash is equal", async () => {
  const { api } = await serve();
  expect((await fetch(`${api}/tasks/`, json("POST", { id: "slash" }))).status).toBe(201);
  expect((await fetch(`${api}/tasks/slash/`)).status).toBe(200);
});

test("a body is neither coerced nor trimmed: each wrong field is named", async () => {
  const { api } = await serve();
  const refusals = [
    [{ total: "10" }, "/total", 'got "10"'],
    [{ ttl: 1 }, "/ttl", "known are id, title"],
    [{ id: "a/b" }, "/id", "pattern"],
    [{ metadata: [] }, "/metadata", "object"],
    [{ maxAttempts: 0 }, "/maxAttempts", ">= 1, got 0"],
  ] as const;
  for (const [body, field, said] of refusals) {
    const response = await fetch(`${api}/tasks`, json("POST", body));
    expect(response.status).toBe(422);
    const problem = (await response.json()) as { field: string; detail: string };
    expect(problem.field).toBe(field);
    expect(problem.detail).toContain(said);
  }
});

test("malformed JSON is 400, a foreign type 415, a body over 1 MiB 413", async () => {
  const { api } = await serve();
  const headers = { "Content-Type": "application/json" };
  const broken = await fetch(`${api}/tasks`, { method: "POST", headers, body: '{"id":' });
  expect([broken.status, ((await broken.json()) as { code: string }).code]).toEqual([400, "INVALID_REQUEST"]);
  const notUtf8 = await fetch(`${api}/tasks`, {
    method: "POST",
    headers,
    body: new Uint8Array([0x22, 0xff, 0x22]),
  });
  expect(notUtf8.status).toBe(400);
  const plain = await fetch(`${api}/tasks`, { method: "POST", body: "id=a" });
  expect([plain.status, ((await plain.json()) as { code: string }).code]).toEqual([
    415,
    "UNSUPPORTED_MEDIA_TYPE",
  ]);
  const huge = await fetch(`${api}/tasks`, json("POST", { title: "x".repeat(1_100_000) }));
  expect([huge.status, ((await huge.json()) as { code: string }).code]).toEqual([413, "BODY_TOO_LARGE"]);
});

test("a chunked body over 1 MiB is refused as soon as it passes the bound", async () => {
  const { port } = await serve();
  const chunk = `10000\r\n${" ".repeat(65_536)}\r\n`;
  const text = await talk(
    port,
    `POST /api/v1/tasks HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(17)}`,
    HEAD,
  );
  expect(text).toMatch(/^HTTP\/1\.1 413 /);
});

test("reports in one request are applied all or none, and answered with the cursor", async () => {
  const { api, holdfast } = await serve();
  await fetch(`${api}/tasks`, json("POST", { id: "job", total: 10 }));
  const send = async (lines: readonly object[]): Promise<Response> =>
    await fetch(`${api}/tasks/job/events`, {
      method: "POST",
      headers: { "Content-Type": "application/x-ndjson" },
      body: lines.map((line) => JSON.stringify(line)).join("\n"),
    });
  const refused = await send([
    { type: "progress", data: { done: 5 } },
    { type: "open", data: 1 },
  ]);
  expect(await refused.json()).toMatchObject({ code: "INVALID_FIELD", field: "/1/type" });
  expect((await holdfast.tasks.get("job")).done).toBe(0);
  const taken = await send([
    { type: "progress", data: { done: 5 } },
    { type: "page.done", data: { page: 3 } },
  ]);
  const task = await holdfast.tasks.get("job");
  expect(task).toMatchObject({ done: 5, status: "processing" });
  expect(await taken.json()).toEqual({
    cursor: task.cursor,
    status: "processing",
    cancelRequested: false,
    watchers: 0,
  });
});

test("a request repeated with its Idempotency-Key gets the same answer and changes nothing", async () => {
  const { api, holdfast } = await serve();
  await holdfast.tasks.create({ id: "once" });
  const ending = json("POST", { type: "complete", data: { result: 1 } }, { "Idempotency-Key": "k1" });
  const first: unknown = await (await fetch(`${api}/tasks/once/events`, ending)).json();
  const again = await fetch(`${api}/tasks/once/events`, ending);
  expect(again.status).toBe(200);
  expect(await again.json()).toEqual(first);
  const other = json("POST", { type: "complete", data: { result: 2 } }, { "Idempotency-Key": "k1" });
  expect(await (await fetch(`${api}/tasks/once/events`, other)).json()).toMatchObject({
    code: "IDEMPOTENCY_CONFLICT",
  });
});

test("requests with one Idempotency-Key that overlap are one request, or a conflict", async () => {
  const { api, holdfast } = await serve();
  const send = async (id: string, result: number): Promise<unknown> => {
    const ending = json("POST", { type: "complete", data: { result } }, { "Idempotency-Key": "k1" });
    return await (await fetch(`${api}/tasks/${id}/events`, ending)).json();
  };
  await holdfast.tasks.create({ id: "same" });
  const [first, retry] = await Promise.all([send("same", 1), send("same", 1)]);
  expect(retry).toEqual(first);
  await holdfast.tasks.create({ id: "other" });
  const answers = await Promise.all([send("other", 1), send("other", 2)]);
  expect(answers).toContainEqual(expect.objectContaining({ status: "completed" }));
  expect(answers).toContainEqual(expect.objectContaining({ code: "IDEMPOTENCY_CONFLICT" }));
});

test("lists go page by page", async () => {
  const { api, url, holdfast } = await serve();
  for (const id of ["a", "b", "c"]) {
    await holdfast.tasks.create({ id });
  }
  interface Page {
    readonly items: readonly { readonly id: string }[];
    readonly next: string | null;
  }
  const first = (await (await fetch(`${api}/tasks?limit=2`)).json()) as Page;
  expect(first.items.map(({ id }) => id)).toEqual(["a", "b"]);
  const second = (await (await fetch(`${url}${first.next ?? ""}`)).json()) as Page;
  expect(second).toMatchObject({ items: [{ id: "c" }], next: null });
  expect((await fetch(`${api}/tasks?status=done`)).status).toBe(422);
});

test("DELETE cancels a task, and its producer hears of it", async () => {
  const { api, holdfast } = await serve();
  const handle = await holdfast.tasks.create({ id: "stop" });
  expect((await fetch(`${api}/tasks/stop`, { method: "DELETE" })).status).toBe(204);
  expect(handle.cancelled.aborted).toBe(true);
  expect(await holdfast.tasks.get("stop")).toMatchObject({ status: "cancelled" });
  const report = await fetch(
    `${api}/tasks/stop/events`,
    json("POST", { type: "progress", data: { done: 1 } }),
  );
  expect(await report.json()).toMatchObject({ status: "cancelled", cancelRequested: true });
});

test("a batch is made once, read, closed, and then takes no more", async () => {
  const { api } = await serve();
  expect((await fetch(`${api}/batches`, json("POST", { id: "drop" }))).status).toBe(201);
  expect((await fetch(`${api}/batches`, json("POST", { id: "drop" }))).status).toBe(409);
  await fetch(`${api}/tasks`, json("POST", { batchId: "drop" }));
  expect(await (await fetch(`${api}/batches/drop`)).json()).toMatchObject({ tasks: 1, closed: false });
  expect(await (await fetch(`${api}/batches/drop/close`, { method: "POST" })).json()).toMatchObject({
    closed: true,
  });
  expect((await fetch(`${api}/tasks`, json("POST", { batchId: "drop" }))).status).toBe(409);
  expect((await fetch(`${api}/batches/none/stream`)).status).toBe(404);
});

test("what fails within is INTERNAL to the client and whole in the log", async () => {
  const store = new MemoryStore();
  const { api, logs } = await serve({ store });
  store.listTasks = async () => await Promise.reject(new Error("disk 7 is gone"));
  const response = await fetch(`${api}/tasks`);
  expect(response.status).toBe(500);
  const text = await response.text();
  expect(text).toContain('"code":"INTERNAL"');
  expect(text).not.toContain("disk 7");
  expect(JSON.stringify(logs)).toContain("disk 7 is gone");
});

test("metrics count streams, endings and requests", async () => {
  const { api, url, holdfast } = await serve();
  const handle = await holdfast.tasks.create({ id: "counted" });
  await handle.complete();
  await (await fetch(`${api}/tasks/counted/stream`)).text();
  const text = await (await fetch(`${url}/metrics`)).text();
  expect(text).toContain("holdfast_streams_open 0");
  expect(text).toContain("holdfast_stream_connects_total 1");
  expect(text).toContain('holdfast_stream_closes_total{reason="completed"} 1');
  expect(text).toContain('holdfast_tasks_ended_total{status="completed"} 1');
  expect(text).toContain("process_cpu_seconds_total");
});

test("metrics count bytes as they are stored", async () => {
  const { api, url } = await serve();
  const headers = { "Content-Type": "application/octet-stream", "X-File-Name": "a.bin" };
  const sent = await fetch(`${api}/uploads`, { method: "POST", headers, body: new Uint8Array(70_000) });
  expect(await sent.json()).toMatchObject({ status: "completed", uploaded: 70_000 });
  expect(await (await fetch(`${url}/metrics`)).text()).toContain("holdfast_upload_bytes_total 70000");
});

test("DELETE on /tasks cancels an upload too, and its bytes go", async () => {
  const { api } = await serve();
  await fetch(`${api}/uploads`, json("POST", { id: "up", filename: "a.bin", total: 10 }));
  expect((await fetch(`${api}/tasks/up`, { method: "DELETE" })).status).toBe(204);
  expect(await (await fetch(`${api}/uploads/up`)).json()).toMatchObject({ status: "cancelled" });
  expect((await fetch(`${api}/uploads/up/content`)).status).toBe(410);
});

test("the OpenAPI document is of 3.1 and lists every route under the base path", async () => {
  const { url } = await serve({ basePath: "/live" });
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { openapi: string; paths: object };
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.paths)).toEqual(
    expect.arrayContaining([
      "/live/api/v1/tasks",
      "/live/api/v1/tasks/{id}/events",
      "/live/api/v1/batches/{id}/stream",
      "/live/healthz",
    ]),
  );
});

test("the page is served with a strict policy, its hashed files for ever, and nothing beside it", async () => {
  const pageDir = mkdtempSync(join(tmpdir(), "holdfast-page-"));
  try {
    mkdirSync(join(pageDir, "assets"));
    writeFileSync(join(pageDir, "index.html"), "<!doctype html><title>page</title>");
    writeFileSync(join(pageDir, "assets", "index-B3_xY9aQ.js"), "1");
    const { url } = await serve({ pageDir, authSecret: "s".repeat(32) });
    const index = await fetch(`${url}/`);
    expect(index.status).toBe(200);
    expect(index.headers.get("cache-control")).toBe("no-cache");
    expect(index.headers.get("content-security-policy")).toContain("default-src 'self'");
    expect(index.headers.get("x-frame-options")).toBe("DENY");
    const script = await fetch(`${url}/assets/index-B3_xY9aQ.js`);
    expect(script.headers.get("cache-control")).toContain("immutable");
    expect((await fetch(`${url}/..%2f..%2fetc%2fpasswd`)).status).not.toBe(200);
  } finally {
    rmSync(pageDir, { recursive: true });
  }
});

test("a creation without a body, or with an empty one of JSON, is a creation with nothing said", async () => {
  const { api } = await serve();
  for (const path of ["tasks", "batches"]) {
    const bare = await fetch(`${api}/${path}`, { method: "POST" });
    expect([path, bare.status]).toEqual([path, 201]);
    const empty = await fetch(`${api}/${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
    });
    expect([path, empty.status]).toEqual([path, 201]);
  }
  await fetch(`${api}/batches`, json("POST", { id: "b" }));
  const closed = await fetch(`${api}/batches/b/close`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
  });
  expect(closed.status).toBe(200);
});
