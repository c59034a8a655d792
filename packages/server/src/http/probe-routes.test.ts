import { request as httpRequest } from "node:http";
import { afterEach, expect, test } from "vitest";
import { closeServed, serve } from "./served.test.kit.js";

afterEach(closeServed);

const EVENTS = { headers: { accept: "text/event-stream" } } as const;

async function fieldsOf(response: Response): Promise<{ readonly [name: string]: unknown }> {
  return (await response.json()) as { readonly [name: string]: unknown };
}

test("without being asked for there are no probes", async () => {
  const { api } = await serve();
  const answers = await Promise.all([
    fetch(`${api}/probe`),
    fetch(`${api}/probe/streams/a`, EVENTS),
    fetch(`${api}/probe/uploads/a`, { method: "POST", body: "x" }),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([404, 404, 404]);
});

test("a stream of probes says when each event was sent, and is another one for each who asks", async () => {
  const { api } = await serve({ probe: true });
  const { timeMs } = await fieldsOf(await fetch(`${api}/probe`));
  const read = async () => await (await fetch(`${api}/probe/streams/a?count=3&interval=50`, EVENTS)).text();
  const [one, two] = await Promise.all([read(), read()]);
  const events = [...one.matchAll(/^event: probe\ndata: (.*)$/gm)].map(
    ([, data = ""]) => JSON.parse(data) as { stream: string; sentAtMs: number },
  );
  expect(events).toHaveLength(3);
  const [first, , last] = events;
  expect(first?.sentAtMs).toBeGreaterThanOrEqual(Number(timeMs));
  expect((last?.sentAtMs ?? 0) - (first?.sentAtMs ?? 0)).toBeGreaterThanOrEqual(99);
  expect(two).not.toContain(first?.stream);
});

test("headers go out before the first event of a silent stream, and its end is known", async () => {
  const { api } = await serve({ probe: true });
  const leaving = new AbortController();
  const open = async () => (await fieldsOf(await fetch(`${api}/probe/streams/a`)))["open"];
  const response = await fetch(`${api}/probe/streams/a?silent=120000`, { ...EVENTS, signal: leaving.signal });
  expect(response.headers.get("x-accel-buffering")).toBe("no");
  expect(await open()).toBe(1);
  leaving.abort();
  await expect.poll(open).toBe(0);
});

test("bytes of a body are counted while they come", async () => {
  const { api } = await serve({ probe: true });
  const seen = async () => (await fieldsOf(await fetch(`${api}/probe/uploads/a`)))["bytes"];
  const request = httpRequest(`${api}/probe/uploads/a`, {
    method: "POST",
    headers: { "content-length": "20", "content-type": "application/octet-stream" },
  });
  const answered = new Promise<number | undefined>((resolve) => {
    request.on("response", (response) => {
      response.resume();
      resolve(response.statusCode);
    });
  });
  request.write("0123456789");
  await expect.poll(seen).toBe(10);
  request.end("0123456789");
  expect(await answered).toBe(200);
  expect(await seen()).toBe(20);
});

test("what goes beyond the bounds is refused", async () => {
  const { api } = await serve({ probe: true });
  for (const query of [
    "interval=1",
    "count=0",
    "count=1e3",
    "silent=-1",
    "silent=999999",
    "count=1&count=2",
  ]) {
    const answer = await fetch(`${api}/probe/streams/a?${query}`, EVENTS);
    expect([answer.status, (await fieldsOf(answer))["code"]]).toEqual([422, "INVALID_FIELD"]);
  }
  const large = await fetch(`${api}/probe/uploads/a`, { method: "POST", body: new Uint8Array(9_000_000) });
  expect([large.status, (await fieldsOf(large))["code"]]).toEqual([413, "BODY_TOO_LARGE"]);
  const leaving = new AbortController();
  const silent = { ...EVENTS, signal: leaving.signal };
  const many = Array.from(
    { length: 32 },
    async (_, n) => await fetch(`${api}/probe/streams/${n}?silent=60000`, silent),
  );
  await Promise.all(many);
  const beyond = await fetch(`${api}/probe/streams/beyond`, EVENTS);
  expect([beyond.status, beyond.headers.get("retry-after")]).toEqual([429, "10"]);
  leaving.abort();
});

test("probes ask for a token like any stream", async () => {
  const { api } = await serve({ probe: true, authSecret: "x".repeat(32) });
  expect((await fetch(`${api}/probe`)).status).toBe(401);
  expect((await fetch(`${api}/probe/streams/a`, EVENTS)).status).toBe(401);
  expect((await fetch(`${api}/probe/uploads/a`, { method: "POST", body: "x" })).status).toBe(401);
});
