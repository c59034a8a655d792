import { afterEach, expect, test } from "vitest";
import { ManualEnvironment, settled } from "./manual-environment.test.kit.js";
import { frame } from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import type { StreamErrorEvent } from "./stream-event.js";
import { INTERNALS, type StableEventSourceOptions } from "./stream-options.js";
import { cursor } from "./task.test.kit.js";

type Answer = (signal: AbortSignal) => Response | Promise<Response>;

const sources: StableEventSource[] = [];
afterEach(() => {
  for (const source of sources.splice(0)) source.close();
});

/** A source over polls, a clock that stands, and a server that plays its answers; the last one goes on for ever. */
function open(answers: readonly Answer[], options: StableEventSourceOptions = {}) {
  const environment = new ManualEnvironment();
  const asked: { readonly query: string; readonly lastEventId: string | null; readonly atMs: number }[] = [];
  const source = new StableEventSource("http://holdfast.test/api/v1/stream?task=a", {
    transports: ["poll"],
    fetch: async (input, init) => {
      const url = new URL(input instanceof Request ? input.url : input);
      const headers = new Headers(init?.headers);
      asked.push({ query: url.search, lastEventId: headers.get("Last-Event-ID"), atMs: environment.now() });
      const answer = answers[Math.min(asked.length, answers.length) - 1];
      if (answer === undefined || !(init?.signal instanceof AbortSignal)) throw new Error("no answer");
      return await answer(init.signal);
    },
    ...options,
    [INTERNALS]: { environment },
  });
  sources.push(source);
  const seen: string[] = [];
  const told = ["connected", "progress", "note", "complete", "heartbeat", "drain"];
  for (const name of told) source.addEventListener(name, () => void seen.push(name));
  const errors: StreamErrorEvent[] = [];
  source.addEventListener("error", (event) => void errors.push(event));
  const states: string[] = [];
  source.addEventListener("state", ({ state, transport }) => void states.push(`${state} ${transport}`));
  return { environment, asked, source, seen, errors, states };
}

const headers = { "Content-Type": "text/event-stream; charset=utf-8" };
const answer =
  (...frames: readonly string[]): Answer =>
  () =>
    new Response(frames.join(""), { headers });
const connected = (sequence: number): string => frame("connected", { heartbeatMs: 10_000 }, cursor(sequence));
const last = (sequence: number, rev: string): string => frame("heartbeat", { cursor: cursor(sequence), rev });
const held: Answer = () => new Promise<never>(() => undefined);
const none: Answer = () => new Response(null, { status: 204 });

test("poll after poll is one stream: opened once, no error, its cursor and rev handed back each time", async () => {
  const { environment, asked, seen, errors, states } = open([
    answer(connected(1), last(1, "7")),
    answer(connected(1), frame("note", {}, cursor(2)), last(2, "8")),
    answer(connected(2), frame("progress", { done: 1 }), last(2, "9")),
    held,
  ]);
  for (let turn = 0; turn < 4; turn += 1) {
    await settled();
    environment.advance(100);
  }
  expect(asked.map(({ query, lastEventId }) => [query, lastEventId])).toEqual([
    ["?task=a&transport=poll&wait=0", null],
    ["?task=a&transport=poll&wait=20&rev=7", cursor(1)],
    ["?task=a&transport=poll&wait=20&rev=8", cursor(2)],
    ["?task=a&transport=poll&wait=20&rev=9", cursor(2)],
  ]);
  expect(seen.filter((name) => name !== "connected" && name !== "heartbeat")).toEqual(["note", "progress"]);
  expect(states).toEqual(["connecting poll", "open poll"]);
  expect(errors).toEqual([]);
});

test("204 after the ending closes the source for good, without an error", async () => {
  const { environment, source, seen, errors, states } = open([
    answer(connected(1), frame("complete", {}, cursor(2))),
    none,
  ]);
  await settled();
  environment.advance(100);
  await settled();
  expect(seen).toEqual(["connected", "complete"]);
  expect(source.readyState).toBe(StableEventSource.CLOSED);
  expect(source.state.reason).toBe("done");
  expect(states.at(-1)).toBe("closed poll");
  expect(errors).toEqual([]);
  expect(environment.pending).toBe(0);
});

test("a milestone that comes again is delivered once", async () => {
  const { environment, seen } = open([
    answer(connected(1), frame("note", {}, cursor(2)), last(2, "1")),
    answer(connected(2), frame("note", {}, cursor(2)), frame("note", {}, cursor(3)), last(3, "2")),
    held,
  ]);
  for (let turn = 0; turn < 3; turn += 1) {
    await settled();
    environment.advance(100);
  }
  expect(seen.filter((name) => name === "note")).toHaveLength(2);
});

test("a server that answers at once for ever is asked ten times a second with news, and once without", async () => {
  const news = open([answer(connected(1), frame("progress", {}), last(1, "1"))]);
  const idle = open([answer(connected(1), last(1, "1"))]);
  for (let ms = 0; ms < 5_000; ms += 50) {
    await settled();
    news.environment.advance(50);
    idle.environment.advance(50);
  }
  expect(news.asked.length).toBeGreaterThan(45);
  expect(news.asked.length).toBeLessThanOrEqual(51);
  // The first answer brought a cursor, so the second poll came soon.
  expect(idle.asked.length).toBeLessThanOrEqual(7);
  expect(idle.errors).toEqual([]);
});

test("a poll that was held is followed by the next at once", async () => {
  let release = (_response: Response): void => undefined;
  const { environment, asked } = open([
    answer(connected(1), last(1, "1")),
    () => new Promise((resolve) => void (release = resolve)),
    held,
  ]);
  await settled();
  environment.advance(100);
  await settled();
  environment.advance(20_000);
  release(new Response(connected(1) + last(1, "1"), { headers }));
  await settled();
  environment.advance(0);
  await settled();
  expect(asked.map(({ atMs }) => atMs)).toEqual([0, 100, 20_100]);
});

test("an answer without connected is a loss with its backoff, not the next poll", async () => {
  const { errors, source } = open([answer(frame("note", {}))]);
  await settled();
  expect(errors.map(({ reason, terminal }) => [reason, terminal])).toEqual([["ended", false]]);
  expect(source.state.state).toBe("waiting");
});

test("the watchdog waits for what a poll may be held and the connect timeout, before headers and behind them", async () => {
  const half: Answer = () => new Response(new ReadableStream(), { headers });
  const options = { connectTimeout: 3_000, heartbeatTimeout: 10 };
  const first = answer(connected(1), last(1, "1"));
  const opened = [held, half].map((then) => open([first, then], options));
  // The first poll is not held.
  const unopened = [held, half].map((then) => open([then], options));
  const reasons = (all: readonly { readonly errors: readonly StreamErrorEvent[] }[]): string[] =>
    all.flatMap(({ errors }) => errors.map(({ reason }) => reason));
  await settled();
  for (const { environment } of [...opened, ...unopened]) environment.advance(1_000);
  await settled();
  for (const { environment } of [...opened, ...unopened]) environment.advance(2_010);
  await settled();
  expect([reasons(opened), reasons(unopened)]).toEqual([[], ["connect-timeout", "mute"]]);
  for (const { environment } of opened) environment.advance(20_000);
  expect(reasons(opened)).toEqual([]);
  for (const { environment } of opened) environment.advance(1_000);
  expect(reasons(opened)).toEqual(["connect-timeout", "mute"]);
});

test("a refusal in the middle of polls is final, and a 401 asks for fresh headers first", async () => {
  let tokens = 0;
  const { environment, errors, source, asked } = open(
    [
      answer(connected(1), last(1, "1")),
      () => new Response("", { status: 401 }),
      answer(connected(1), frame("note", {}, cursor(2)), last(2, "1")),
      () => new Response("", { status: 404 }),
    ],
    { headers: () => ({ Authorization: `Bearer ${tokens++}` }) },
  );
  for (let turn = 0; turn < 5; turn += 1) {
    await settled();
    environment.advance(100);
  }
  expect(asked).toHaveLength(4);
  expect(tokens).toBe(4);
  expect(errors.map(({ status, terminal }) => [status, terminal])).toEqual([[404, true]]);
  expect(source.readyState).toBe(StableEventSource.CLOSED);
});

test("errors are retried by the table of streams, and the cursor goes along", async () => {
  const { environment, errors, asked } = open([
    answer(connected(1), last(1, "5")),
    () => new Response("", { status: 503, headers: { "Retry-After": "3" } }),
    () => Promise.reject(new TypeError("network")),
    answer(connected(1), last(1, "5")),
    held,
  ]);
  await settled();
  environment.advance(100);
  await settled();
  expect(errors.map(({ reason }) => reason)).toEqual(["status"]);
  environment.advance(2_900);
  await settled();
  expect(asked).toHaveLength(2);
  for (let turn = 0; turn < 3; turn += 1) {
    environment.advance(1_100);
    await settled();
  }
  expect(errors.map(({ reason }) => reason)).toEqual(["status", "network"]);
  expect(asked[3]?.lastEventId).toBe(cursor(1));
});

test("drain is kept: the next poll comes when the server said", async () => {
  const { environment, source, errors, asked } = open([
    answer(connected(1), "retry: 7000\n", frame("drain", { reconnectInMs: 7_000 })),
    held,
  ]);
  await settled();
  expect(source.state).toMatchObject({ state: "waiting", reason: "drain", nextAttemptAt: 7_000 });
  environment.advance(6_990);
  await settled();
  expect(asked).toHaveLength(1);
  environment.advance(20);
  await settled();
  expect(asked).toHaveLength(2);
  expect(errors).toEqual([]);
});

test.each(["while a poll is held", "between two polls"])("close() %s leaves nothing behind", async (when) => {
  const { environment, source, asked } = open([answer(connected(1), last(1, "1")), held]);
  await settled();
  if (when === "while a poll is held") {
    environment.advance(100);
    await settled();
  }
  const before = asked.length;
  source.close();
  await settled();
  expect(environment.pending).toBe(0);
  environment.advance(60_000);
  await settled();
  expect(asked).toHaveLength(before);
});

test("transports that don't exist, and none at all, are refused", () => {
  const refused: readonly object[] = [
    { transports: [] },
    { transports: ["websocket"] },
    { transports: "poll" },
  ];
  for (const options of refused) {
    expect(() => new StableEventSource("http://127.0.0.1/", options)).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION", message: expect.stringContaining("sse, poll") }),
    );
  }
  expect(open([held], { transports: ["sse", "poll"] }).source.state.transport).toBe("sse");
});
