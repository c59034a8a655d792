/**
 * Polls over real sockets: as a client, a proxy and an operator see them.
 */
import { request as httpRequest } from "node:http";
import { afterEach, expect, test } from "vitest";
import { closeServed, json, serve, talk, until, type Served } from "./served.test.kit.js";

afterEach(closeServed);

interface Heard {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: { readonly [name: string]: unknown };
}

function parse(text: string): Heard[] {
  return text
    .split("\n\n")
    .filter((frame) => frame.includes("event: "))
    .map((frame) => ({
      event: /^event: (.*)$/m.exec(frame)?.[1] ?? "",
      id: /^id: (.*)$/m.exec(frame)?.[1],
      data: JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? "null") as Heard["data"],
    }));
}

const cursorOf = (events: readonly Heard[]): string =>
  events.findLast(({ id }) => id !== undefined)?.id ?? "";
const revOf = (events: readonly Heard[]): string => {
  const rev = events.at(-1)?.data["rev"];
  return typeof rev === "string" ? rev : "";
};
/** Without the heartbeats of the schedule, which come whenever they come. */
const names = (events: readonly Heard[]): string[] =>
  events
    .filter(({ event, data }) => event !== "heartbeat" || data["rev"] !== undefined)
    .map(({ event }) => event);

async function poll(url: string): Promise<Heard[]> {
  return parse(await (await fetch(url)).text());
}

const opened = ({ logs }: Served): number => logs.filter(({ msg }) => msg === "stream opened").length;

test("a poll is one whole response with the headers of a stream, and its socket serves the next", async () => {
  const { port, holdfast } = await serve();
  await holdfast.tasks.create({ id: "one" });
  const ask = "GET /api/v1/tasks/one/stream?transport=poll HTTP/1.1\r\nHost: a\r\n";
  const text = await talk(port, `${ask}\r\n${ask}Connection: close\r\n\r\n`);
  const [head = ""] = text.split("\r\n\r\n", 1);
  expect(head).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  expect(head).toContain("Content-Type: text/event-stream; charset=utf-8");
  expect(head).toContain("Cache-Control: no-cache, no-store, no-transform, must-revalidate");
  expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(2);
  expect(text.match(/\r\n0\r\n\r\n/g)).toHaveLength(2);
});

test("to HTTP/1.0 the end of the connection ends it", async () => {
  const { port, holdfast } = await serve();
  await holdfast.tasks.create({ id: "one" });
  const text = await talk(port, "GET /api/v1/tasks/one/stream?transport=poll HTTP/1.0\r\n\r\n");
  expect(text).not.toContain("Transfer-Encoding");
  expect(names(parse(text.split("\r\n\r\n", 2)[1] ?? ""))).toEqual(["connected", "heartbeat"]);
});

test.each(["tasks/a/stream?", "uploads/a/stream?", "batches/b/stream?", "stream?task=a&task=none&"])(
  "GET /%s is polled to its ending and answered 204 then",
  async (path) => {
    const { api, holdfast } = await serve({ progressIntervalMs: 20 });
    const handle = await holdfast.tasks.create({ id: "a", batchId: "b", total: 10 });
    await fetch(`${api}/batches/b/close`, { method: "POST" });
    const url = `${api}/${path}transport=poll`;
    const first = await poll(url);
    const next = async (events: readonly Heard[]): Promise<Response> =>
      await fetch(`${url}&wait=2&rev=${revOf(events)}`, { headers: { "Last-Event-ID": cursorOf(events) } });
    const waiting = next(first);
    handle.progress(4);
    let events = parse(await (await waiting).text());
    const heard = [...events];
    await handle.event("note", { page: 1 });
    await handle.complete();
    for (let polls = 0; polls < 5; polls += 1) {
      const response = await next(events);
      if (response.status === 204) break;
      events = parse(await response.text());
      heard.push(...events);
    }
    expect((await next(events)).status).toBe(204);
    const milestones = heard.filter(({ event, id }) => id !== undefined && event !== "connected");
    const end = path.startsWith("batches/") ? ["batchComplete"] : [];
    expect(names(milestones)).toEqual(["status", "note", "complete", ...end]);
    const { items } = await holdfast.tasks.deliveries("a");
    const outcomes = new Set(items.map(({ transport, outcome }) => `${transport} ${outcome}`));
    expect([...outcomes].toSorted()).toEqual(["poll acknowledged", "poll sent"]);
    expect(heard.find(({ event }) => event === "progress")?.data).toMatchObject({ taskId: "a", done: 4 });
  },
);

test("POST /stream is polled alike", async () => {
  const { api, holdfast } = await serve();
  const handle = await holdfast.tasks.create({ id: "a" });
  const body = json("POST", { tasks: ["a"] });
  const first = parse(await (await fetch(`${api}/stream?transport=poll`, body)).text());
  expect(names(first)).toEqual(["connected", "snapshot", "heartbeat"]);
  const waiting = fetch(
    `${api}/stream?transport=poll&rev=${revOf(first)}&lastEventId=${cursorOf(first)}`,
    body,
  );
  await handle.complete();
  expect(names(parse(await (await waiting).text()))).toContain("complete");
});

test("wait bounds how long it is held", async () => {
  const { api, holdfast } = await serve();
  await holdfast.tasks.create({ id: "a" });
  const url = `${api}/tasks/a/stream?transport=poll`;
  const first = await poll(url);
  const beganAtMs = performance.now();
  const events = await poll(`${url}&wait=0.3&rev=${revOf(first)}&lastEventId=${cursorOf(first)}`);
  const tookMs = performance.now() - beganAtMs;
  expect(names(events)).toEqual(["connected", "heartbeat"]);
  // Without it a poll is held for longer than a test may take.
  expect(tookMs).toBeGreaterThanOrEqual(290);
});

test("what transport, wait and rev can't be is refused with the field", async () => {
  const { api, holdfast } = await serve();
  await holdfast.tasks.create({ id: "a" });
  const refused: readonly (readonly [string, string])[] = [
    ["tasks/a/stream?transport=websocket", "transport"],
    ["tasks/a/stream?transport=", "transport"],
    ["tasks/a/stream?transport=poll&transport=sse", "transport"],
    ["tasks/a/stream?transport=poll&wait=61", "wait"],
    ["tasks/a/stream?transport=poll&wait=-1", "wait"],
    ["tasks/a/stream?transport=poll&wait=1e1", "wait"],
    ["tasks/a/stream?transport=poll&wait=", "wait"],
    ["tasks/a/stream?transport=poll&wait=1&wait=2", "wait"],
    ["tasks/a/stream?transport=poll&rev=1.5", "rev"],
    ["tasks/a/stream?transport=poll&rev=-1", "rev"],
    [`tasks/a/stream?transport=poll&rev=${"9".repeat(5_000)}`, "rev"],
    ["stream?task=a&transport=poll&rev=7", "rev"],
    ["stream?task=a&transport=poll&rev=1&rev=2", "rev"],
  ];
  const answers = await Promise.all(
    refused.map(async ([path]) => {
      const response = await fetch(`${api}/${path}`);
      const { code, field } = (await response.json()) as { code: string; field: string };
      return [path, response.status, code, field];
    }),
  );
  expect(answers).toEqual(refused.map(([path, field]) => [path, 422, "INVALID_FIELD", field]));
});

test("a held poll is a connection: counted, logged at its begin and end, and gone with its client", async () => {
  const served = await serve();
  const { api, url, holdfast, logs } = served;
  await holdfast.tasks.create({ id: "a" });
  const { cursor, rev } = await holdfast.tasks.get("a");
  const leaving = new AbortController();
  const held = fetch(`${api}/tasks/a/stream?transport=poll&rev=${rev}&lastEventId=${cursor}`, {
    signal: leaving.signal,
  });
  await until(() => opened(served) === 1);
  await held;
  expect(await (await fetch(`${url}/metrics`)).text()).toContain("holdfast_streams_open 1");
  leaving.abort();
  await until(() => logs.some(({ reason }) => reason === "peer-gone"));
  await poll(`${api}/tasks/a/stream?transport=poll`);
  await until(() => logs.some(({ reason }) => reason === "answered"));
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toContain("holdfast_streams_open 0");
  expect(metrics).toContain('holdfast_stream_closes_total{reason="answered"} 1');
  const lines = logs.filter(({ msg }) => String(msg).startsWith("stream"));
  expect(lines).toHaveLength(4);
  for (const line of lines) {
    expect(line).toMatchObject({ transport: "poll", method: "GET", path: "/api/v1/tasks/a/stream" });
  }
});

test("shutting down answers held polls at once and says when to come back", async () => {
  const served = await serve();
  const { api, holdfast } = served;
  await holdfast.tasks.create({ id: "a" });
  const first = await poll(`${api}/tasks/a/stream?transport=poll`);
  const held = poll(
    `${api}/tasks/a/stream?transport=poll&rev=${revOf(first)}&lastEventId=${cursorOf(first)}`,
  );
  await until(() => opened(served) === 2);
  const closing = holdfast.close();
  const events = await held; // rejects when the poll is cut for want of an answer
  expect(names(events)).toEqual(["connected", "drain"]);
  expect(events.at(-1)?.data["reconnectInMs"]).toBeLessThanOrEqual(100);
  await closing;
});

test("refusals are those of a stream", async () => {
  const { api } = await serve();
  expect((await fetch(`${api}/tasks/none/stream?transport=poll`)).status).toBe(404);
  expect((await fetch(`${api}/batches/none/stream?transport=poll`)).status).toBe(404);
});

test("the description of the API names the parameters", async () => {
  const { url } = await serve();
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: { [path: string]: { get: { parameters: { name: string; in: string }[] } } };
  };
  const queries = (path: string): string[] =>
    (paths[path]?.get.parameters ?? []).filter((one) => one.in === "query").map(({ name }) => name);
  const common = ["lastEventId", "transport", "wait", "rev"];
  expect(queries("/api/v1/tasks/{id}/stream")).toEqual(common);
  expect(queries("/api/v1/batches/{id}/stream")).toEqual(common);
  expect(queries("/api/v1/stream")).toEqual(["task", ...common]);
});

test("two readers of one poll's URL get an answer each, and a reader that stops reading holds up nobody", async () => {
  const { api, port, holdfast } = await serve();
  const handle = await holdfast.tasks.create({ id: "a" });
  const first = await poll(`${api}/tasks/a/stream?transport=poll`);
  const path = `/api/v1/tasks/a/stream?transport=poll&lastEventId=${cursorOf(first)}`;
  const deaf = httpRequest({ port, host: "127.0.0.1", path });
  deaf.on("response", (response) => void response.pause());
  deaf.on("error", () => undefined);
  deaf.end();
  const held = poll(`http://127.0.0.1:${port}${path}`);
  await handle.event("note", 1);
  expect(names(await held)).toContain("note");
  deaf.destroy();
});
