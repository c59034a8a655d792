/** Each option and each part of the interface, against a `fetch` that is played and a clock that stands; sockets are in stable-event-source.test.ts. */
import { afterEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import { ManualEnvironment, settled } from "./manual-environment.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import type { StreamErrorEvent, StreamStateEvent } from "./stream-event.js";
import { INTERNALS, type StableEventSourceOptions } from "./stream-options.js";

const sources: StableEventSource[] = [];
afterEach(() => {
  for (const source of sources.splice(0)) source.close();
});

const live = (text: string): Response =>
  new Response(
    new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(text)) }),
    { headers: { "Content-Type": "text/event-stream" } },
  );
const ended = (text: string): Response =>
  new Response(text, { headers: { "Content-Type": "text/event-stream" } });

interface Played {
  readonly source: StableEventSource;
  readonly environment: ManualEnvironment;
  readonly asked: RequestInit[];
  readonly errors: StreamErrorEvent[];
}

/** The n-th attempt gets the n-th answer, the last one for ever. */
function play(
  answers: readonly (() => Response)[],
  options: StableEventSourceOptions = {},
  random = 0.5,
): Played {
  const environment = new ManualEnvironment(random);
  const asked: RequestInit[] = [];
  const source = new StableEventSource("http://holdfast.test/events", {
    fetch: (_input, init = {}) => {
      const answer = answers[Math.min(asked.push(init), answers.length) - 1];
      return answer === undefined ? Promise.reject(new TypeError("network")) : Promise.resolve(answer());
    },
    ...options,
    [INTERNALS]: { environment },
  });
  sources.push(source);
  const errors: StreamErrorEvent[] = [];
  source.addEventListener("error", (event) => void errors.push(event));
  return { source, environment, asked, errors };
}

describe("the request", () => {
  test("goes out with the method, the body, the credentials and the id it was given", async () => {
    const { asked, source } = play([() => live("data: a\n\n")], {
      method: "post",
      body: "which=one",
      withCredentials: true,
      lastEventId: "41",
    });
    await settled();
    expect(asked[0]).toMatchObject({ method: "POST", body: "which=one", credentials: "include" });
    const headers = new Headers(asked[0]?.headers);
    expect([headers.get("accept"), headers.get("last-event-id")]).toEqual(["text/event-stream", "41"]);
    expect([source.withCredentials, source.lastEventId]).toEqual([true, "41"]);
  });

  test("headers given as an object go along with every attempt", async () => {
    const { asked, environment } = play([() => ended("data: a\n\n"), () => live("data: b\n\n")], {
      headers: { "X-Page": "7" },
    });
    await settled();
    environment.advance(2000);
    await settled();
    expect(asked.map(({ headers }) => new Headers(headers).get("x-page"))).toEqual(["7", "7"]);
  });

  test("what can't be is refused with what was got and what is right", () => {
    const refused: readonly (readonly [object, string, string])[] = [
      [{ retryDelay: -1 }, "INVALID_OPTION", "retryDelay must be a number ≥ 0, got -1"],
      [{ maxRetries: "5" }, "INVALID_OPTION", "maxRetries must be a number ≥ 0, got 5"],
      [{ connectTimeout: 0 }, "INVALID_OPTION", "connectTimeout must be a number ≥ 1, got 0"],
      [{ heartbeatTimeout: NaN }, "INVALID_OPTION", "heartbeatTimeout must be a number ≥ 1, got NaN"],
      [{ body: "x" }, "INVALID_OPTION", `body can't go with GET; set method: "POST"`],
      [{ lastEventId: "a\nb" }, "INVALID_OPTION", "lastEventId must not contain NUL, CR or LF"],
      [{ maxRetry: 5 }, "UNKNOWN_OPTION", `StableEventSource has no option "maxRetry"`],
    ];
    for (const [options, code, message] of refused) {
      expect(() => new StableEventSource("http://127.0.0.1/", options)).toThrow(
        expect.objectContaining({ code, message: expect.stringContaining(message) }),
      );
    }
    expect(() => new StableEventSource("/events")).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });

  test("an option that is undefined is one that was not given", async () => {
    const options: object = {
      maxRetries: undefined,
      headers: undefined,
      signal: undefined,
      method: undefined,
    };
    const { asked } = play([() => live("")], options);
    await settled();
    expect(asked[0]?.method).toBe("GET");
  });
});

describe("listeners", () => {
  test("once, signal and objects with handleEvent are EventTarget's own; a removed one hears nothing", async () => {
    const { source } = play([() => live("data: 1\n\ndata: 2\n\nevent: note\ndata: 3\n\n")]);
    const heard: string[] = [];
    const aborted = new AbortController();
    source.addEventListener("message", ({ data }) => void heard.push(`once ${data}`), { once: true });
    source.addEventListener("message", () => aborted.abort(), { once: true });
    source.addEventListener("note", () => void heard.push("aborted"), { signal: aborted.signal });
    source.addEventListener("note", { handleEvent: () => void heard.push("object") });
    const removed = (): void => void heard.push("removed");
    source.addEventListener("note", removed);
    source.removeEventListener("note", removed);
    await settled();
    expect(heard).toEqual(["once 1", "object"]);
  });

  test("on… handlers are called with the source as `this`, in the place where the first was set, and null takes them away", async () => {
    const { source } = play([() => live("data: 1\n\ndata: 2\n\ndata: 3\n\n")]);
    const heard: unknown[] = [];
    expect([source.onopen, source.onmessage, source.onerror]).toEqual([null, null, null]);
    source.addEventListener("message", () => void heard.push("before"));
    const handler = function (this: StableEventSource): void {
      heard.push(this === source);
      Object.assign(source, { onmessage: null });
    };
    Object.assign(source, { onmessage: () => undefined });
    source.addEventListener("message", () => void heard.push("after"));
    Object.assign(source, { onmessage: handler });
    expect(source.onmessage).toBe(handler);
    await settled();
    expect(heard.slice(0, 5)).toEqual(["before", true, "after", "before", "after"]);
    expect(source.onmessage).toBeNull();
  });

  test("one that throws stops neither the others nor the stream, and so does a debug function", async () => {
    const uncaught: unknown[] = [];
    const hear = (error: unknown): void => void uncaught.push(error);
    const before = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", hear);
    try {
      const { source } = play([() => live("data: 1\n\ndata: 2\n\n")], {
        debug: () => {
          throw new Error("debug");
        },
      });
      const heard: string[] = [];
      source.addEventListener("message", () => {
        throw new Error("mine");
      });
      source.addEventListener("message", ({ data }) => void heard.push(data));
      await settled();
      expect(heard).toEqual(["1", "2"]);
      expect(source.readyState).toBe(StableEventSource.OPEN);
      // Its debug function throws then too.
      source.close();
      await settled();
      expect(uncaught.length).toBeGreaterThanOrEqual(3);
    } finally {
      process.off("uncaughtException", hear);
      for (const listener of before) process.on("uncaughtException", listener);
    }
  });

  test("events are typed by their name", () => {
    const { source } = play([() => live("")]);
    source.addEventListener("progress", ({ json }) => expectTypeOf(json.uploaded).toEqualTypeOf<number>());
    source.addEventListener("state", ({ lastByteAgeMs }) => {
      expectTypeOf(lastByteAgeMs).toEqualTypeOf<number | null>();
    });
    source.addEventListener("error", ({ terminal }) => expectTypeOf(terminal).toEqualTypeOf<boolean>());
    source.addEventListener("theirs", ({ data }) => expectTypeOf(data).toEqualTypeOf<string>());
    expect(source.readyState).toBe(StableEventSource.CONNECTING);
  });
});

describe("retries", () => {
  test("retryNow() ends a wait at once, and is nothing in any other state", async () => {
    const { source, environment, asked } = play([() => ended(""), () => live("data: a\n\n")]);
    source.retryNow();
    await settled();
    expect([asked.length, source.state.state]).toEqual([1, "waiting"]);
    source.retryNow();
    environment.advance(0);
    await settled();
    expect([asked.length, source.state.state]).toEqual([2, "open"]);
    source.retryNow();
    expect(source.state.state).toBe("open");
  });

  test("retryNow() keeps to what the server asked for", async () => {
    const { source, environment, asked } = play([
      () => new Response("", { status: 503, headers: { "Retry-After": "7" } }),
      () => live("data: a\n\n"),
    ]);
    await settled();
    source.retryNow();
    environment.advance(6999);
    await settled();
    expect(asked).toHaveLength(1);
    environment.advance(1);
    await settled();
    expect(asked).toHaveLength(2);
  });

  test("when they run out there is one terminal error, with what was last answered, and nothing after it", async () => {
    const document = { title: "Too much", status: 503, code: "BUSY", detail: "later" };
    const busy = (): Response =>
      new Response(JSON.stringify(document), {
        status: 503,
        headers: { "Content-Type": "application/problem+json" },
      });
    const { source, environment, asked, errors } = play([busy], { maxRetries: 2, retryDelay: 100 });
    for (let turn = 0; turn < 10; turn += 1) {
      await settled();
      environment.advance(1000);
    }
    expect(asked).toHaveLength(3);
    expect(errors.map(({ terminal, reason }) => [terminal, reason])).toEqual([
      [false, "status"],
      [false, "status"],
      [true, "retries-exhausted"],
    ]);
    expect(errors.at(-1)).toMatchObject({ status: 503, problem: document });
    expect([source.readyState, environment.pending]).toEqual([StableEventSource.CLOSED, 0]);
  });

  test("five seconds of health reset the count, also where no event comes", async () => {
    const { source, environment } = play([() => ended(""), () => live(":\n")]);
    await settled();
    expect(source.state.attempt).toBe(1);
    environment.advance(2000);
    await settled();
    environment.advance(4999);
    expect(source.state).toMatchObject({ state: "open", attempt: 1 });
    environment.advance(1);
    expect(source.state).toMatchObject({ reason: "healthy", attempt: 0 });
  });
});

describe("what is told", () => {
  test("every transition comes as an event and in words: why, how often, by what, how old the last byte, when next", async () => {
    const lines: string[] = [];
    const { source, environment } = play([() => live("data: a\n\n"), () => live("")], {
      debug: (line) => lines.push(line),
      heartbeatTimeout: 3000,
      retryDelay: 1000,
    });
    const told: StreamStateEvent[] = [];
    source.addEventListener("state", (event) => void told.push(event));
    await settled();
    environment.advance(3000);
    await settled();
    environment.advance(500);
    expect(told.map(({ message }) => message)).toEqual(lines);
    expect(lines).toEqual([
      "connecting (start) by sse",
      "open (opened) by sse",
      "waiting (silence) by sse, 1 failed, last byte 3000 ms ago, next attempt at 1970-01-01T00:00:03.500Z",
      "connecting (timer) by sse, 1 failed, last byte 3500 ms ago",
    ]);
    expect(told[2]).toMatchObject({
      state: "waiting",
      reason: "silence",
      attempt: 1,
      nextAttemptAt: 3500,
      transport: "sse",
      lastByteAgeMs: 3000,
    });
  });

  test("debug: true says it on the console", async () => {
    const debug = vi.spyOn(console, "debug").mockImplementation(() => undefined);
    try {
      play([() => live("")], { debug: true });
      await settled();
      for (const source of sources.splice(0)) source.close();
      expect(debug).toHaveBeenCalledWith(
        "[holdfast]",
        "connecting (start) by sse",
        "http://holdfast.test/events",
      );
    } finally {
      debug.mockRestore();
    }
  });
});
