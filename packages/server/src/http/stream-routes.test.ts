import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { closeServed, json, serve, talk, until } from "./served.test.kit.js";

afterEach(closeServed);

test("a stream has exactly the headers of the wire, and its first event in the first write", async () => {
  const { port, holdfast } = await serve();
  await holdfast.tasks.create({ id: "one" });
  const text = await talk(
    port,
    "GET /api/v1/tasks/one/stream HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\nAccept-Encoding: gzip\r\n\r\n",
    /\r\n\r\n[^]*\n\n/,
  );
  const [head = "", body = ""] = text.split("\r\n\r\n", 2);
  const [first, ...headers] = head.split("\r\n");
  expect(first).toBe("HTTP/1.1 200 OK");
  const names = Object.fromEntries(headers.map((line) => line.split(": ", 2))) as Record<string, string>;
  delete names["Date"];
  expect(names).toEqual({
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-store, no-transform, must-revalidate",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
    Connection: "keep-alive",
    "Keep-Alive": "timeout=75",
    "Transfer-Encoding": "chunked",
  });
  expect(body).toMatch(/^[0-9a-f]+\r\nretry: 1000\nid: /);
});

test("an upload's stream and a task's are one", async () => {
  const { api, holdfast } = await serve();
  await (await holdfast.tasks.create({ id: "same" })).complete({ pages: 3 });
  const [task, upload] = await Promise.all(
    ["tasks", "uploads"].map(async (noun) => await (await fetch(`${api}/${noun}/same/stream`)).text()),
  );
  expect(task).toContain("event: complete");
  expect(upload).toContain('"result":{"pages":3}');
});

test("who has seen the ending gets 204; by header, or by query when there is none", async () => {
  const { api, holdfast } = await serve();
  await (await holdfast.tasks.create({ id: "over" })).complete();
  const { cursor } = await holdfast.tasks.get("over");
  const url = `${api}/tasks/over/stream`;
  expect((await fetch(url, { headers: { "Last-Event-ID": cursor } })).status).toBe(204);
  expect((await fetch(`${url}?lastEventId=${cursor}`)).status).toBe(204);
  const mixed = await fetch(`${url}?lastEventId=${cursor}`, { headers: { "Last-Event-ID": "abc-1-1" } });
  expect(mixed.status).toBe(200);
  expect(await mixed.text()).toContain("event: gap");
});

test("a Last-Event-ID is read as UTF-8, and one that is too long is a foreign cursor", async () => {
  const { port, holdfast } = await serve();
  await (await holdfast.tasks.create({ id: "over" })).complete();
  const ask = async (id: string): Promise<string> => {
    const head = `GET /api/v1/tasks/over/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLast-Event-ID: ${id}\r\n\r\n`;
    return Buffer.from(await talk(port, Buffer.from(head, "utf8")), "latin1").toString("utf8");
  };
  expect(await ask("größe-π")).toContain('"from":"größe-π"');
  expect(await ask("x".repeat(4_000))).toContain(`"from":"${"x".repeat(128)}"`);
});

test("406 only where Accept excludes the stream", async () => {
  const { api, holdfast } = await serve();
  await (await holdfast.tasks.create({ id: "a" })).complete();
  const ask = async (accept: string): Promise<number> => {
    const response = await fetch(`${api}/tasks/a/stream`, { headers: { Accept: accept } });
    await response.text();
    return response.status;
  };
  const taken = ["text/event-stream", "*/*", "text/*", "text/html, text/event-stream;q=0.5", ""];
  const refused = ["text/html", "application/json", "text/event-stream;q=0"];
  expect(await Promise.all(taken.map(ask))).toEqual(taken.map(() => 200));
  expect(await Promise.all(refused.map(ask))).toEqual(refused.map(() => 406));
});

test("HEAD gets the stream's headers and no stream; 404 where there is none", async () => {
  const { api, holdfast } = await serve();
  await holdfast.tasks.create({ id: "a", batchId: "b" });
  const paths = ["tasks/a/stream", "uploads/a/stream", "batches/b/stream", "stream?task=a"];
  const answers = await Promise.all(
    paths.map(async (path) => {
      const { status, headers } = await fetch(`${api}/${path}`, { method: "HEAD" });
      return [path, status, headers.get("content-type")];
    }),
  );
  expect(answers).toEqual(paths.map((path) => [path, 200, "text/event-stream; charset=utf-8"]));
  expect((await fetch(`${api}/tasks/none/stream`, { method: "HEAD" })).status).toBe(404);
});

test("many tasks share one stream, by query and by body", async () => {
  const { api, holdfast } = await serve();
  await (await holdfast.tasks.create({ id: "a" })).complete();
  await (await holdfast.tasks.create({ id: "b" })).complete();
  const byQuery = await (await fetch(`${api}/stream?task=a&task=b&task=none`)).text();
  const byBody = await (await fetch(`${api}/stream`, json("POST", { tasks: ["a", "b", "none"] }))).text();
  for (const text of [byQuery, byBody]) {
    expect(text.match(/event: snapshot/g)).toHaveLength(2);
    expect(text).toContain("event: unavailable");
    expect(text).toContain("event: batchComplete");
  }
  const many = Array.from({ length: 1_001 }, (_, index) => `t${index}`);
  expect((await fetch(`${api}/stream`, json("POST", { tasks: many }))).status).toBe(422);
  const tooMany = many.slice(0, 101);
  expect((await fetch(`${api}/stream?${tooMany.map((id) => `task=${id}`).join("&")}`)).status).toBe(422);
});

test("one line when a stream opens and one when it ends, with what it carried and why it ended", async () => {
  const { api, holdfast, logs } = await serve();
  const handle = await holdfast.tasks.create({ id: "told" });
  const reading = (await fetch(`${api}/tasks/told/stream`)).text();
  await handle.complete();
  const text = await reading;
  await until(() => logs.some((line) => line["msg"] === "stream ended"));
  const lines = logs.filter((line) => String(line["msg"]).startsWith("stream"));
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatchObject({ msg: "stream opened", method: "GET", path: "/api/v1/tasks/told/stream" });
  expect(lines[1]).toMatchObject({
    msg: "stream ended",
    method: "GET",
    path: "/api/v1/tasks/told/stream",
    status: 200,
    reason: "completed",
    events: text.match(/^event: /gm)?.length,
    bytes: Buffer.byteLength(text),
    durationMs: expect.any(Number),
  });
});

test("a client that leaves is logged as peer-gone, and its stream leaves nothing open", async () => {
  const { api, url, holdfast, logs } = await serve();
  await holdfast.tasks.create({ id: "left" });
  const leaving = new AbortController();
  await fetch(`${api}/tasks/left/stream`, { signal: leaving.signal });
  leaving.abort();
  await until(() => logs.some((line) => line["reason"] === "peer-gone"));
  expect(await (await fetch(`${url}/metrics`)).text()).toContain("holdfast_streams_open 0");
});

const PIPELINED = 50;

/** `PIPELINED` requests at once on one connection. */
function pipeline(port: number, path: string) {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.resume();
  socket.write(`GET /api/v1/${path} HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(PIPELINED));
  return socket;
}

async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^holdfast_${name} (\\d+)$`, "m").exec(text)?.[1]);
}

test("streams pipelined on one connection leave nothing behind when it dies, and no listener too many", async () => {
  const warned: Error[] = [];
  const hear = (warning: Error): void => {
    if (warning.name === "MaxListenersExceededWarning") warned.push(warning);
  };
  process.on("warning", hear);
  const { url, port, holdfast, logs } = await serve();
  const handle = await holdfast.tasks.create({ id: "piped" });
  const before = await metric(url, "stream_timers");
  const socket = pipeline(port, "tasks/piped/stream");
  await until(() => handle.watchers === PIPELINED);
  socket.destroy();
  await until(() => handle.watchers === 0);
  expect(await metric(url, "streams_open")).toBe(0);
  expect(await metric(url, "stream_queued_bytes")).toBe(0);
  expect(await metric(url, "stream_timers")).toBe(before);
  await until(() => logs.filter(({ msg }) => msg === "stream ended").length === PIPELINED);
  const reasons = logs.flatMap(({ msg, reason }) => (msg === "stream ended" ? [reason] : []));
  expect(reasons).toEqual(Array.from({ length: PIPELINED }, () => "peer-gone"));
  process.off("warning", hear);
  expect(warned).toEqual([]);
});

test("streams pipelined on a connection that stays are freed by their age", async () => {
  const { url, port, holdfast, logs } = await serve({ maxStreamAgeMs: 1_100, heartbeatMs: 1_000 });
  const handle = await holdfast.tasks.create({ id: "aged" });
  const socket = pipeline(port, "tasks/aged/stream");
  await until(() => logs.filter(({ msg }) => msg === "stream opened").length === PIPELINED);
  await until(() => handle.watchers === 0);
  expect(await metric(url, "streams_open")).toBe(0);
  socket.destroy();
});

test("404 and 410 come as problem documents before any byte of a stream", async () => {
  const { api } = await serve();
  const response = await fetch(`${api}/tasks/none/stream`, { headers: { Accept: "text/event-stream" } });
  expect(response.status).toBe(404);
  expect(await response.json()).toMatchObject({ code: "TASK_NOT_FOUND" });
});
