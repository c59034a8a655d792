/** What the web's own suite (e2e/eventsource) does not ask of the strict class. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { EventSource, type EventSourceInit } from "./eventsource.js";
import { endedStream, LocalServer, status, stream, type Answer } from "./node-local-server.test.kit.js";

let server: LocalServer;
const sources: EventSource[] = [];

async function open(answers: readonly Answer[], init?: EventSourceInit): Promise<EventSource> {
  server = await LocalServer.start(...answers);
  const source = new EventSource(server.url, init);
  sources.push(source);
  return source;
}

async function next(source: EventSource, type: string): Promise<MessageEvent<string>> {
  return await new Promise((resolve) => {
    source.addEventListener(type, resolve, { once: true });
  });
}

beforeEach(() => {
  sources.length = 0;
});
afterEach(async () => {
  for (const source of sources) source.close();
  await server.stop();
});

test("an id in a block without data is where the next attempt begins", async () => {
  const source = await open([endedStream("retry: 1\nid: a\ndata: x\n\nid: b\n\n"), stream("data: y\n\n")]);
  await next(source, "error");
  expect((await next(source, "message")).lastEventId).toBe("b");
  expect(server.requests[1]?.headers["last-event-id"]).toBe("b");
});

test("close() in a listener keeps back what the same piece still holds", async () => {
  const source = await open([stream("data: a\n\ndata: b\n\n")]);
  const heard: string[] = [];
  source.addEventListener("message", ({ data }) => {
    heard.push(data);
    source.close();
  });
  await next(source, "message");
  await new Promise(setImmediate);
  expect([heard, source.readyState]).toEqual([["a"], 2]);
});

test("close() in an error listener cancels the reconnect that is due", async () => {
  let asked = 0;
  const source = await open([endedStream("retry: 1\n\n")], {
    fetch: async (input, init) => {
      asked += 1;
      return await fetch(input, init);
    },
  });
  await next(source, "error");
  source.close();
  // Timers of one length fire in the order in which they were set: the reconnect's would have been first.
  await new Promise((resolve) => void setTimeout(resolve, 1));
  expect(asked).toBe(1);
});

test("headers come in through a fetch of one's own", async () => {
  const source = await open([stream("data: a\n\n")], {
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers);
      headers.set("Authorization", "Bearer x");
      return await fetch(input, { ...init, headers });
    },
  });
  await next(source, "message");
  const [request] = server.requests;
  expect([request?.headers.authorization, request?.headers.accept]).toEqual([
    "Bearer x",
    "text/event-stream",
  ]);
});

test("a refused connection is tried again, 204 is the end", async () => {
  const source = await open([
    endedStream("retry: 1\n\n"),
    (request) => void request.socket.destroy(),
    status(204),
  ]);
  const states: number[] = [];
  await new Promise<void>((resolve) => {
    source.addEventListener("error", () => {
      if (states.push(source.readyState) === 3) resolve();
    });
  });
  expect(states).toEqual([0, 0, 2]);
});

test("a body whose fetch does not heed the signal is given up as well", async () => {
  let cancelled = false;
  const text = new TextEncoder();
  const source = await open([stream()], {
    fetch: () => {
      const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull: (controller) => controller.enqueue(text.encode("data: a\n\n")),
        cancel: () => {
          cancelled = true;
        },
      });
      return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
    },
  });
  await next(source, "message");
  source.close();
  await expect.poll(() => cancelled).toBe(true);
});
