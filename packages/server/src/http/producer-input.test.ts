/**
 * Whatever producers and readers send: refused by field or taken whole, and no frame on a stream but those that belong there.
 */
import { connect } from "node:net";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { closeServed, json, serve, talk, until, type Served } from "./served.test.kit.js";

afterEach(closeServed);

/** What ends lines, fields and events somewhere, what looks like a frame, and what no UTF-8 can hold. */
const PIECES = [
  "\r",
  "\n",
  "\r\n",
  "\n\n",
  "\0",
  "\u2028",
  "\u2029",
  "\u0085",
  "\ufeff",
  "\ud800",
  "\udc00",
  "🐟",
  "ü",
].concat([
  "event: complete",
  "data: {}",
  "id: 1-1-1",
  "retry: 1",
  ":",
  " ",
  '"',
  "\\",
  "{",
  "</script>",
  "x",
]);
const nasty = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join("")),
  fc.string({ unit: "binary" }),
);
const POLLUTING: unknown = JSON.parse(
  '{"__proto__":{"polluted":1},"constructor":{"prototype":1},"toString":1}',
);
const anyJson: fc.Arbitrary<unknown> = fc.oneof(
  nasty,
  fc.array(nasty, { maxLength: 4 }),
  fc.dictionary(nasty, nasty, { maxKeys: 4 }),
  fc.jsonValue({ maxDepth: 4 }),
  fc.constant(POLLUTING),
);

interface Report {
  readonly type: string;
  readonly data?: unknown;
}

const report: fc.Arbitrary<Report> = fc.oneof(
  fc.record({ type: fc.constantFrom("note", "page.done", "a-b_c.9"), data: anyJson }),
  fc.record({ type: nasty, data: anyJson }),
  fc.record({
    type: fc.constant("stage"),
    data: fc.record({ stage: nasty, phase: fc.constantFrom("begin", "end") }),
  }),
  fc.record({ type: fc.constant("progress"), data: fc.record({ done: fc.oneof(fc.nat(9), fc.double()) }) }),
  fc.record({ type: fc.constant("progress"), data: anyJson }),
);
const ending: fc.Arbitrary<Report> = fc.oneof(
  fc.record({ type: fc.constant("complete"), data: fc.record({ result: anyJson }) }),
  fc.record({
    type: fc.constant("fail"),
    data: fc.record({ code: nasty, message: nasty, retryable: fc.boolean() }),
  }),
);

/** As JSON says it: what a reader can hope to get. */
function plain(value: unknown): string {
  return JSON.stringify(JSON.parse(JSON.stringify(value ?? null)));
}

/** As a parser of others reads it; throws on anything that is no field, and on a second `retry:`. */
function parse(text: string): EventSourceMessage[] {
  const events: EventSourceMessage[] = [];
  let retries = 0;
  const parser = createParser({
    onEvent: (event) => events.push(event),
    onRetry: () => void (retries += 1),
    onError: (error) => {
      throw error;
    },
  });
  parser.feed(text);
  expect([retries, events[0]?.event]).toEqual([1, "connected"]);
  return events;
}

/** The milestones of a stream, each as its name and the part of its data that the producer sent. */
function milestones(text: string): string[] {
  const events = parse(text);
  const ids = events.flatMap(({ id }) => id ?? []).slice(1);
  expect(new Set(ids).size).toBe(ids.length);
  return events
    .filter(({ id, event }) => id !== undefined && event !== "connected")
    .map(({ event, data }) => {
      const {
        data: own,
        stage,
        status,
        result,
        error,
      } = JSON.parse(data) as { readonly [field: string]: unknown };
      return `${event} ${plain([own, stage, status, result, error])}`;
    });
}

/** What the reports become when they are taken. */
function expected({ type, data }: Report): string[] {
  const fields = (data ?? {}) as { [field: string]: unknown };
  if (type === "progress") return [];
  if (type === "stage") return [`stage ${plain([null, fields["stage"], null, null, null])}`];
  if (type === "complete") return [`complete ${plain([null, null, null, fields["result"], null])}`];
  if (type === "fail") return [`failed ${plain([null, null, null, null, data])}`];
  return [`${type} ${plain([data, null, null, null, null])}`];
}

async function send({ api }: Served, id: string, body: string, type = "application/json"): Promise<Response> {
  return await fetch(`${api}/tasks/${id}/events`, {
    method: "POST",
    headers: { "Content-Type": type },
    body,
  });
}

test("whatever a producer sends, a stream parsed by others yields exactly the events that were taken, live and replayed", async () => {
  const served = await serve({ progressIntervalMs: 0 });
  const { api, holdfast } = served;
  const requests = fc.array(fc.array(report, { minLength: 1, maxLength: 3 }), { maxLength: 5 });
  let run = 0;
  let taken = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(requests, ending, async (bodies, last) => {
      const id = `t${(run += 1)}`;
      await fetch(`${api}/tasks`, json("POST", { id }));
      const { cursor } = await holdfast.tasks.get(id);
      const live = (await fetch(`${api}/tasks/${id}/stream`)).text();
      const wanted: string[] = [];
      for (const body of [...bodies, [last], [{ type: "complete", data: { result: 0 } }]]) {
        const [only] = body;
        const response =
          body.length === 1
            ? await send(served, id, JSON.stringify(only))
            : await send(
                served,
                id,
                body.map((one) => JSON.stringify(one)).join("\n"),
                "application/x-ndjson",
              );
        const answer = (await response.json()) as { code?: string; field?: string };
        if (response.status === 200) {
          taken += 1;
          if (wanted.length === 0) wanted.push(`status ${plain([null, null, "processing", null, null])}`);
          wanted.push(...body.flatMap(expected));
          if (body.some(({ type }) => type === "complete" || type === "fail")) break;
          continue;
        }
        refused += 1;
        expect([response.status, answer.code]).toEqual([422, "INVALID_FIELD"]);
        expect(answer.field).toMatch(/^(\/\d)?\/(type|data)/);
      }
      expect(milestones(await live)).toEqual(wanted);
      const headers = { "Last-Event-ID": cursor };
      expect(milestones(await (await fetch(`${api}/tasks/${id}/stream`, { headers })).text())).toEqual(
        wanted,
      );
      await holdfast.tasks.get(id);
    }),
    { numRuns: 60 },
  );
  expect(Math.min(taken, refused)).toBeGreaterThan(20);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
}, 60_000);

test("NDJSON cut at any byte is applied to its last whole line or not at all", async () => {
  const served = await serve();
  const { api, holdfast } = served;
  const lines = [
    `{"type":"a","data":"ü"}`,
    `{"type":"b.c","data":[1,{"x":"\\n"}]}`,
    `{"type":"stage","data":{"stage":"s"}}`,
  ];
  const whole = Buffer.from(`${lines.join("\r\n")}\n`);
  const names = ["a", "b.c", "stage"];
  const ends = lines.map((_, index) => Buffer.byteLength(lines.slice(0, index + 1).join("\r\n")));
  for (let cut = 0; cut <= whole.length; cut += 1) {
    const id = `cut${cut}`;
    await holdfast.tasks.create({ id });
    const response = await fetch(`${api}/tasks/${id}/events`, {
      method: "POST",
      headers: { "Content-Type": "application/x-ndjson" },
      body: whole.subarray(0, cut),
    });
    // Whole lines, with as much of the line ends behind them as there is.
    const count =
      ends.findLastIndex(
        (end, index) => cut >= end && cut <= Math.min(end + 2, (ends[index + 1] ?? Infinity) - 1),
      ) + 1;
    const { code } = (await response.json()) as { code?: string };
    expect([cut, code]).toEqual([
      cut,
      count > 0 ? undefined : cut === 0 ? "INVALID_FIELD" : "INVALID_REQUEST",
    ]);
    await holdfast.tasks.cancel(id);
    const { cursor } = await holdfast.tasks.get(id);
    const [epoch] = cursor.split("-");
    const replay = await fetch(`${api}/tasks/${id}/stream`, { headers: { "Last-Event-ID": `${epoch}-0-0` } });
    const got = milestones(await replay.text()).map((text) => text.split(" ", 1)[0]);
    expect(got).toEqual(["status", ...(count > 0 ? ["status"] : []), ...names.slice(0, count), "cancelled"]);
  }
}, 30_000);

test("a body that its connection cut off is not applied, however whole the lines look that had come", async () => {
  const { port, api, holdfast, logs } = await serve();
  await holdfast.tasks.create({ id: "job" });
  const before = await holdfast.tasks.get("job");
  const head = "POST /api/v1/tasks/job/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-ndjson\r\n";
  const line = '{"type":"complete"}\n';
  for (const rest of [
    `Content-Length: ${line.length + 5}\r\n\r\n${line}`,
    `Transfer-Encoding: chunked\r\n\r\n${line.length.toString(16)}\r\n${line}\r\n`,
  ]) {
    // What was handed to the kernel arrives, and the end behind it.
    const socket = connect(port, "127.0.0.1", () => void socket.write(head + rest, () => socket.destroy()));
  }
  await until(() => logs.filter(({ code }) => code === "HPE_INVALID_EOF_STATE").length === 2);
  // Whoever asks after that finds nothing changed; and a client that left is no error of ours.
  expect((await fetch(`${api}/tasks/job`)).status).toBe(200);
  expect(await holdfast.tasks.get("job")).toEqual(before);
  expect(logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
});

test("a line that is no JSON is named by its number in the body", async () => {
  const served = await serve();
  await served.holdfast.tasks.create({ id: "job" });
  const response = await send(served, "job", '{"type":"a"}\n\n\n{"type":', "application/x-ndjson");
  expect(await response.json()).toMatchObject({
    code: "INVALID_REQUEST",
    detail: expect.stringMatching(/^line 4 /),
  });
});

test("an event of 10 MB is refused with the bound, in one object and among lines, and nothing of it is applied", async () => {
  const served = await serve();
  const { holdfast } = served;
  await holdfast.tasks.create({ id: "job" });
  const before = await holdfast.tasks.get("job");
  const huge = JSON.stringify({ type: "note", data: "x".repeat(10_485_760) });
  const bodies = [
    [huge, "application/json"],
    [`{"type":"note"}\n${huge}`, "application/x-ndjson"],
  ] as const;
  for (const [body, type] of bodies) {
    const response = await send(served, "job", body, type);
    expect([response.status, await response.json()]).toMatchObject([
      413,
      { code: "BODY_TOO_LARGE", detail: expect.stringContaining("1048576") },
    ]);
  }
  const big = JSON.stringify({ type: "note", data: "x".repeat(65_535) });
  const lines = await send(served, "job", `{"type":"note"}\n${big}`, "application/x-ndjson");
  expect([lines.status, await lines.json()]).toMatchObject([422, { field: "/1/data" }]);
  expect(await holdfast.tasks.get("job")).toEqual(before);
});

test("keys that name prototypes are refused where keys are known, and are plain data where they are not", async () => {
  const served = await serve();
  const { api } = served;
  const post = async (path: string, body: string): Promise<[number, { [key: string]: unknown }]> => {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`${api}/${path}`, { method: "POST", headers, body });
    return [response.status, (await response.json()) as { [key: string]: unknown }];
  };
  expect(await post("tasks", '{"__proto__":{"total":5}}')).toMatchObject([422, { field: "/__proto__" }]);
  expect(await post("batches", '{"constructor":1}')).toMatchObject([422, { field: "/constructor" }]);
  const [, task] = await post(
    "tasks",
    '{"id":"job","metadata":{"__proto__":{"polluted":1},"constructor":1}}',
  );
  expect(JSON.stringify(task["metadata"])).toBe('{"__proto__":{"polluted":1},"constructor":1}');
  expect(await post("tasks/job/events", '{"type":"note","__proto__":{"type":"complete"}}')).toMatchObject([
    422,
    { field: "/__proto__" },
  ]);
  expect(
    await post("tasks/job/events", '{"type":"complete","data":{"__proto__":{"result":1}}}'),
  ).toMatchObject([422, { field: "/data/__proto__" }]);
  expect(await post("tasks/job/events", '{"__proto__":{"type":"complete"}}')).toMatchObject([422, {}]);
  expect(await (await fetch(`${api}/tasks/job`)).json()).toMatchObject({ status: "pending" });
});

test("whatever JSON comes, the routes of producers answer below 500, and name the field that is wrong", async () => {
  const served = await serve();
  const { api, holdfast, logs } = served;
  await holdfast.tasks.create({ id: "job" });
  const paths = ["tasks", "batches", "uploads", "stream", "tasks/job/events", "batches/b/close"];
  const keys = [
    "id",
    "title",
    "total",
    "unit",
    "metadata",
    "batchId",
    "maxAttempts",
    "tasks",
    "type",
    "attempt",
    "leaseSeconds",
    "data",
  ];
  const body = fc.oneof(anyJson, fc.dictionary(fc.constantFrom(...keys), anyJson));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...paths), body, async (path, value) => {
      const leaving = new AbortController();
      const response = await fetch(`${api}/${path}`, { ...json("POST", value), signal: leaving.signal });
      expect(response.status).toBeLessThan(500);
      if (response.status === 422) expect(await response.json()).toMatchObject({ field: expect.any(String) });
      leaving.abort();
    }),
    { numRuns: 100 },
  );
  expect(logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
}, 30_000);

test("whatever stands in Last-Event-ID, header or query, it is a gap that says so, or a refusal before the stream", async () => {
  const { port, api, holdfast, logs } = await serve();
  await (await holdfast.tasks.create({ id: "over" })).complete();
  const bytes = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 200 }).map((array) => Buffer.from(array)),
    nasty.map((text) => Buffer.from(text.replaceAll(/[\r\n]/g, ""))),
  );
  await fc.assert(
    fc.asyncProperty(bytes, async (value) => {
      const head = Buffer.from(
        "GET /api/v1/tasks/over/stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nLast-Event-ID: ",
      );
      const text = await talk(port, Buffer.concat([head, value, Buffer.from("\r\n\r\n")]));
      expect(text).toMatch(/^HTTP\/1\.1 (200|400) /);
      if (text.startsWith("HTTP/1.1 200") && value.toString("latin1").trim() !== "")
        expect(text).toContain("event: gap\n");
    }),
    { numRuns: 100 },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(nasty, fc.string({ unit: "binary", minLength: 100, maxLength: 300 })),
      async (value) => {
        // fetch sends what UTF-8 can hold.
        const sent = Buffer.from(value, "utf8").toString("utf8");
        const text = await (
          await fetch(`${api}/tasks/over/stream?lastEventId=${encodeURIComponent(sent)}`)
        ).text();
        const data = parse(text).find(({ event }) => event === "gap")?.data;
        if (sent === "") expect(data).toBeUndefined();
        else expect(JSON.parse(data ?? "{}")).toMatchObject({ from: sent.slice(0, 128) });
        expect(milestones(text).map((milestone) => milestone.split(" ", 1)[0])).toEqual(["complete"]);
      },
    ),
    { numRuns: 100 },
  );
  for (const query of [
    "lastEventId=%ff%fe",
    "lastEventId=a&lastEventId=b",
    "lastEventId=%",
    "lastEventId[]=x&lastEventId=%00",
  ]) {
    const response = await fetch(`${api}/tasks/over/stream?${query}`);
    expect([query, response.status, (await response.text()).includes("event: gap\n")]).toEqual([
      query,
      200,
      true,
    ]);
  }
  const long = "x".repeat(65_536);
  const answers = await Promise.all([
    talk(port, `GET /api/v1/tasks/over/stream HTTP/1.1\r\nHost: a\r\nLast-Event-ID: ${long}\r\n\r\n`),
    talk(port, `GET /api/v1/tasks/over/stream?lastEventId=${long} HTTP/1.1\r\nHost: a\r\n\r\n`),
  ]);
  for (const text of answers) {
    expect(text).toMatch(/^HTTP\/1\.1 431 /);
    expect(text).toContain('"code":"HEADERS_TOO_LARGE"');
  }
  expect(logs.filter(({ level }) => Number(level) >= 50)).toEqual([]);
}, 30_000);
