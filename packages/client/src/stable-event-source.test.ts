import { createServer, type Socket } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import { ManualEnvironment } from "./manual-environment.test.kit.js";
import {
  chunked,
  endedStream,
  frame,
  problem,
  status,
  stream,
  useServers,
} from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import type { StreamErrorEvent } from "./stream-event.js";
import { INTERNALS, type StableEventSourceOptions } from "./stream-options.js";

const { serve, release } = useServers();

/** Retries at once, so that no test waits for a backoff; `random: 1` would be the longest. */
function open(url: string, options: StableEventSourceOptions = {}, random = 0): StableEventSource {
  const source = new StableEventSource(url, {
    ...options,
    [INTERNALS]: { environment: { ...SYSTEM_ENVIRONMENT, random: () => random } },
  });
  release(() => source.close());
  return source;
}

function next<E extends Event>(source: StableEventSource, type: string, count = 1): Promise<E> {
  return new Promise((resolve) => {
    let seen = 0;
    source.addEventListener(type, (event) => {
      if (++seen === count) resolve(event as unknown as E);
    });
  });
}

function closedFor(source: StableEventSource): Promise<StreamErrorEvent> {
  return new Promise((resolve) => {
    source.addEventListener("error", (event) => {
      if (event.terminal) resolve(event);
    });
  });
}

describe("the EventSource interface", () => {
  test("data, id, origin and readyState are those of an EventSource", async () => {
    const server = await serve(stream("id: 7\ndata: one\ndata: two\n\n"));
    const source = open(`${server.url}/events`);
    expect(source.readyState).toBe(StableEventSource.CONNECTING);
    const opened = next(source, "open");
    const message = await next<MessageEvent>(source, "message");
    await opened;
    expect(message).toMatchObject({ data: "one\ntwo", lastEventId: "7", origin: server.url });
    expect(source.readyState).toBe(source.OPEN);
    expect(source.url).toBe(`${server.url}/events`);
    source.close();
    expect(source.readyState).toBe(StableEventSource.CLOSED);
  });

  test("on… handlers are exchanged in place, and once: true fires once", async () => {
    const server = await serve(stream("data: a\n\n", "data: b\n\n", "event: last\ndata: c\n\n"));
    const source = open(server.url);
    const first = vi.fn<() => void>();
    const second = vi.fn<() => void>();
    const once = vi.fn<() => void>();
    Object.assign(source, { onmessage: first });
    Object.assign(source, { onmessage: second });
    source.addEventListener("message", once, { once: true });
    await next(source, "last");
    expect([first.mock.calls.length, second.mock.calls.length, once.mock.calls.length]).toEqual([0, 2, 1]);
  });

  test("an unknown option is refused by name", () => {
    const misspelt: object = { retryDelays: 5 };
    expect(() => new StableEventSource("http://127.0.0.1/", misspelt)).toThrow(
      expect.objectContaining({ code: "UNKNOWN_OPTION", message: expect.stringContaining("retryDelays") }),
    );
  });

  test("a CRLF split over two chunks loses no event", async () => {
    const source = open("http://holdfast.test/", {
      fetch: chunked("data: a\r", "\n\r", "\ndata: b\r\n", "\r\n"),
    });
    const seen: string[] = [];
    source.addEventListener("message", ({ data }) => void seen.push(data));
    await next(source, "message", 2);
    expect(seen).toEqual(["a", "b"]);
  });

  test("UTF-8 cut within a character arrives whole", async () => {
    const bytes = Buffer.from("data: 进度 ✓\n\n");
    const source = open("http://holdfast.test/", {
      fetch: chunked(bytes.subarray(0, 7), bytes.subarray(7)),
    });
    expect((await next<MessageEvent>(source, "message")).data).toBe("进度 ✓");
  });
});

describe("coming back", () => {
  test("listeners survive, and Last-Event-ID goes along as UTF-8", async () => {
    const server = await serve(endedStream("id: é1\ndata: a\n\n"), stream("data: b\n\n"));
    const source = open(server.url);
    const seen: string[] = [];
    source.addEventListener("message", ({ data }) => void seen.push(data));
    await next(source, "message", 2);
    expect(seen).toEqual(["a", "b"]);
    const sent = server.requests.map(({ headers }) => headers["last-event-id"]);
    expect(sent).toEqual([undefined, Buffer.from("é1").toString("latin1")]);
  });

  test("a peer that closes right after accepting is a loss, not a hang", async () => {
    let accepted = 0;
    const mute = createServer((socket: Socket) => {
      accepted++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => {
      mute.listen(0, "127.0.0.1", resolve);
    });
    release(() => new Promise((resolve) => mute.close(resolve)));
    const address = mute.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const source = open(`http://127.0.0.1:${port}/`, { maxRetries: 2 });
    expect(await closedFor(source)).toMatchObject({ reason: "retries-exhausted", terminal: true });
    expect(accepted).toBeGreaterThanOrEqual(3);
  });

  test("a fetch that never settles meets the deadline", async () => {
    const never = vi.fn<typeof fetch>(() => new Promise(() => undefined));
    const source = open("http://127.0.0.1:9/", { fetch: never, connectTimeout: 10 });
    expect(await next<StreamErrorEvent>(source, "error", 2)).toMatchObject({
      reason: "connect-timeout",
      terminal: false,
    });
    expect(never).toHaveBeenCalledTimes(2);
  });

  test("an answer that is 200 and mute is given up by the watchdog", async () => {
    const server = await serve(stream(), stream("data: here\n\n"));
    const source = open(server.url, { heartbeatTimeout: 50 });
    const loss = next<StreamErrorEvent>(source, "error");
    expect((await next<MessageEvent>(source, "message")).data).toBe("here");
    expect(await loss).toMatchObject({ reason: "mute", terminal: false });
  });

  test("a stream that goes mute is noticed after 2.5 announced heartbeats", async () => {
    const hello = frame("connected", { heartbeatMs: 60 }, "e-1-1");
    const server = await serve(stream(hello), stream("data: back\n\n"));
    const source = open(server.url);
    expect((await next<MessageEvent>(source, "message")).data).toBe("back");
    expect(server.requests).toHaveLength(2);
  });

  test("any byte feeds the watchdog, a comment too", async () => {
    const environment = new ManualEnvironment();
    let send = (_comment: string): void => undefined;
    const body = new ReadableStream({
      start(controller) {
        send = (comment) => controller.enqueue(Buffer.from(comment));
      },
    });
    const answer = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    const source = new StableEventSource("http://holdfast.test/", {
      fetch: () => Promise.resolve(answer),
      heartbeatTimeout: 300,
      [INTERNALS]: { environment },
    });
    release(() => source.close());
    await next(source, "open");
    for (let beats = 0; beats < 10; beats++) {
      send(":\n");
      // Read when everything that waits only for promises has run.
      await new Promise((resolve) => void setImmediate(resolve));
      environment.advance(299);
    }
    expect(source.readyState).toBe(StableEventSource.OPEN);
    const loss = next<StreamErrorEvent>(source, "error");
    environment.advance(1);
    expect(await loss).toMatchObject({ reason: "silence" });
  });

  test("HTML under 200 and a wrong content type are retried", async () => {
    const server = await serve(
      status(200, { "Content-Type": "text/html" }, "<p>Log in"),
      stream("data: a\n\n"),
    );
    const source = open(server.url);
    const loss = next<StreamErrorEvent>(source, "error");
    await next(source, "message");
    expect(await loss).toMatchObject({ reason: "content-type", status: 200, terminal: false });
  });

  test.each([408, 425, 429, 500, 502, 503, 504])("%i is retried", async (code) => {
    const server = await serve(status(code), stream("data: a\n\n"));
    const source = open(server.url);
    const loss = next<StreamErrorEvent>(source, "error");
    await next(source, "message");
    expect(await loss).toMatchObject({ status: code, terminal: false });
  });

  test("Retry-After is the floor of the wait", async () => {
    const server = await serve(status(503, { "Retry-After": "30" }));
    const source = open(server.url);
    const before = Date.now();
    await next(source, "error");
    expect(source.state.nextAttemptAt).toBeGreaterThanOrEqual(before + 30_000);
  });

  test("drain is waited out without an error, and not counted", async () => {
    const bye = frame("connected", {}, "e-1-1") + `retry: 20\n${frame("drain", { reconnectInMs: 20 })}`;
    const server = await serve(endedStream(bye), stream("data: back\n\n"));
    const source = open(server.url, { maxRetries: 0 });
    const onerror = vi.fn<() => void>();
    source.addEventListener("error", onerror);
    const states: string[] = [];
    source.addEventListener("state", ({ state, reason }) => states.push(`${state}/${reason}`));
    await next(source, "message");
    expect(onerror).not.toHaveBeenCalled();
    expect(states).toEqual([
      "connecting/start",
      "open/opened",
      "waiting/drain",
      "connecting/timer",
      "open/opened",
    ]);
  });

  test("headers are asked for before every attempt", async () => {
    const server = await serve(endedStream("data: a\n\n"), stream("data: b\n\n"));
    let asked = 0;
    const source = open(server.url, { headers: () => Promise.resolve({ "X-Attempt": String(++asked) }) });
    await next(source, "message", 2);
    expect(server.requests.map(({ headers }) => headers["x-attempt"])).toEqual(["1", "2"]);
  });

  test("headers that can't be had are a loss that is retried", async () => {
    const server = await serve(stream("data: a\n\n"));
    let asked = 0;
    const source = open(server.url, {
      headers: () => (++asked === 1 ? Promise.reject(new Error("token service down")) : {}),
    });
    const loss = next<StreamErrorEvent>(source, "error");
    await next(source, "message");
    expect(await loss).toMatchObject({ reason: "headers", terminal: false });
  });

  test("a server that accepts and closes uses up the retries", async () => {
    const server = await serve(endedStream());
    const source = open(server.url, { maxRetries: 3 });
    expect(await closedFor(source)).toMatchObject({ reason: "retries-exhausted" });
    expect(server.requests).toHaveLength(4);
    expect(source.readyState).toBe(StableEventSource.CLOSED);
  });
});

describe("the end", () => {
  test("204 is the end, without an error", async () => {
    const server = await serve(endedStream("data: a\n\n"), status(204));
    const source = open(server.url);
    const terminal = vi.fn<() => void>();
    source.addEventListener("error", (event) => void (event.terminal && terminal()));
    await new Promise<void>((resolve) => {
      source.addEventListener("state", ({ reason }) => void (reason === "done" && resolve()));
    });
    expect(terminal).not.toHaveBeenCalled();
    expect(source.readyState).toBe(StableEventSource.CLOSED);
  });

  test("404 is final and carries the problem document", async () => {
    const document = {
      type: "about:blank",
      title: "Not Found",
      status: 404,
      code: "TASK_NOT_FOUND",
      detail: "no",
    };
    const server = await serve(problem(404, document));
    const source = open(server.url);
    expect(await closedFor(source)).toMatchObject({ reason: "refused", status: 404, problem: document });
    expect(source.readyState).toBe(StableEventSource.CLOSED);
  });

  test.each([400, 403, 410, 422])("%i is final", async (code) => {
    const server = await serve(status(code));
    expect(await closedFor(open(server.url))).toMatchObject({ reason: "refused", status: code });
    expect(server.requests).toHaveLength(1);
  });

  test("a problem document that never ends does not keep the refusal from being told", async () => {
    const server = await serve((_request, response) => {
      response.writeHead(404, { "Content-Type": "application/problem+json" });
      response.write('{"code":');
    });
    const source = open(server.url, { connectTimeout: 50 });
    expect(await closedFor(source)).toMatchObject({ status: 404, problem: null });
  });

  test("401 is met once with fresh headers", async () => {
    const server = await serve(status(401), stream("data: in\n\n"));
    let token = 0;
    const source = open(server.url, { headers: () => ({ Authorization: `Bearer ${++token}` }) });
    const onerror = vi.fn<() => void>();
    source.addEventListener("error", onerror);
    await next(source, "message");
    expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer 1", "Bearer 2"]);
    expect(onerror).not.toHaveBeenCalled();
  });

  test("401 twice is final", async () => {
    const server = await serve(status(401));
    const source = open(server.url, { headers: () => ({}) });
    expect(await closedFor(source)).toMatchObject({ status: 401 });
    expect(server.requests).toHaveLength(2);
  });

  test("close() cancels a pending retry", async () => {
    const server = await serve(status(503));
    const timers = { set: 0, cancelled: 0 };
    const source = new StableEventSource(server.url, {
      [INTERNALS]: {
        environment: {
          ...SYSTEM_ENVIRONMENT,
          random: () => 0.99,
          setTimer(callback, delayMs) {
            const cancel = SYSTEM_ENVIRONMENT.setTimer(callback, delayMs);
            timers.set++;
            return () => {
              timers.cancelled++;
              cancel();
            };
          },
        },
      },
    });
    await next(source, "error");
    const cancelled = timers.cancelled;
    source.close();
    expect(timers.cancelled).toBe(cancelled + 1);
    expect(source.state).toMatchObject({ state: "closed", reason: "closed", nextAttemptAt: null });
  });

  test("close() inside a listener is final for the rest of the chunk", async () => {
    const server = await serve(stream("data: a\n\ndata: b\n\n"));
    const source = open(server.url);
    const seen: string[] = [];
    source.addEventListener("message", ({ data }) => {
      seen.push(data);
      source.close();
    });
    await next(source, "message");
    expect(seen).toEqual(["a"]);
  });

  test("the signal closes it, also one that was aborted before", async () => {
    const server = await serve(stream("data: a\n\n"));
    const controller = new AbortController();
    const source = open(server.url, { signal: controller.signal });
    await next(source, "message");
    controller.abort();
    expect(source.state).toMatchObject({ state: "closed", reason: "aborted" });
    expect(open(server.url, { signal: controller.signal }).readyState).toBe(StableEventSource.CLOSED);
    expect(server.requests).toHaveLength(1);
  });
});

describe("replays", () => {
  const cursor = (n: number): string => `abc-1700000000000-${n}`;
  const connected = (n: number): string =>
    frame("connected", { cursor: cursor(n), heartbeatMs: 10_000 }, cursor(n));
  const note = (n: number): string => frame("note", { n }, cursor(n));

  test("on our own stream an event is delivered once", async () => {
    const server = await serve(
      endedStream(connected(1), note(2), note(3)),
      stream(connected(3), note(2), note(3), note(4), frame("last", {})),
    );
    const source = open(server.url);
    const seen: string[] = [];
    source.addEventListener("note", ({ lastEventId }) => void seen.push(lastEventId));
    await next(source, "last");
    expect(seen).toEqual([cursor(2), cursor(3), cursor(4)]);
  });
});
