import { afterEach, describe, expect, test, vi } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import { ManualEnvironment, settled } from "./manual-environment.test.kit.js";
import {
  endedStream,
  frame,
  problem,
  status,
  stream,
  useServers,
  type Answer,
  type LocalServer,
} from "./node-local-server.test.kit.js";
import { INTERNALS } from "./stream-options.js";
import { cursor, task, taskId } from "./task.test.kit.js";
import type { WatchEvent } from "./watch-event.js";
import type { WatchOptions } from "./watch-options.js";
import { watchTask, type TaskWatch } from "./watch-task.js";

const { serve, release } = useServers();
afterEach(() => void vi.unstubAllGlobals());

function watch(server: LocalServer, options: WatchOptions = {}): TaskWatch {
  const watching = watchTask("t1", {
    baseUrl: `${server.url}/api/v1/`,
    ...options,
    [INTERNALS]: { environment: { ...SYSTEM_ENVIRONMENT, random: () => 0 } },
  });
  release(() => watching.close());
  return watching;
}

const id = taskId("t1");
const connected = (fields: Parameters<typeof task>[0] = {}): string => {
  const now = task(fields);
  const data = {
    taskId: id,
    timestamp: 1,
    cursor: now.cursor,
    resumed: false,
    heartbeatMs: 10_000,
    task: now,
  };
  return frame("connected", data, now.cursor);
};
const completed = frame("complete", { taskId: id, timestamp: 9, result: { sha: "x" } }, cursor(6));
describe("the ending", () => {
  test("resolves with the task as it left it", async () => {
    const server = await serve(endedStream(connected(), completed));
    const watching = watch(server);
    expect(await watching.ending).toMatchObject({
      type: "complete",
      task: { status: "completed", percentage: 100 },
      data: { result: { sha: "x" } },
    });
    expect(watching.task?.status).toBe("completed");
    expect(server.requests.map(({ url }) => url)).toEqual(["/api/v1/tasks/t1/stream"]);
  });

  test("comes through a broken connection, resumed from the cursor", async () => {
    const cut: Answer = (request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write(connected());
      response.write(
        frame("stage", { taskId: id, attempt: 1, stage: "scan", phase: "begin", timestamp: 3 }, cursor(6)),
        () => request.socket.destroy(),
      );
    };
    const last = frame(
      "failed",
      { taskId: id, timestamp: 9, error: { code: "X", message: "m", retryable: false } },
      cursor(7),
    );
    const server = await serve(cut, endedStream(connected({ cursor: cursor(6) }), last));
    expect(await watch(server).ending).toMatchObject({ type: "failed", data: { error: { code: "X" } } });
    expect(server.requests[1]?.headers["last-event-id"]).toBe(cursor(6));
  });

  test("is told by a stream begun anew when the server answers 204 without having told it", async () => {
    const server = await serve(
      endedStream(connected()),
      status(204),
      status(503),
      endedStream(connected({ status: "uploading" }), completed),
    );
    const watching = watch(server);
    const events: string[] = [];
    for await (const { type } of watching) events.push(type);
    expect(events).toEqual(["connected", "connected", "complete"]);
    expect(await watching.ending).toMatchObject({ type: "complete", data: { result: { sha: "x" } } });
    const resumedFrom = server.requests.map(({ headers }) => headers["last-event-id"]);
    expect(resumedFrom).toEqual([undefined, cursor(5), undefined, undefined]);
  });

  test("a server that says 204 to everything is asked ever more seldom, and an abort ends that too", async () => {
    const environment = new ManualEnvironment(0.5);
    const stop = new AbortController();
    let asked = 0;
    const watching = watchTask("t1", {
      signal: stop.signal,
      baseUrl: "http://holdfast.test/api/v1",
      fetch: () => {
        asked += 1;
        return Promise.resolve(new Response(null, { status: 204 }));
      },
      [INTERNALS]: { environment },
    });
    for (let second = 0; second < 60; second += 1) {
      await settled();
      environment.advance(1000);
    }
    // After 1, 1, 2, 4, 8, 15, 15, … seconds.
    expect(asked).toBe(8);
    stop.abort();
    await expect(watching.ending).rejects.toMatchObject({ code: "ABORTED" });
    await settled();
    expect(environment.pending).toBe(0);
  });

  test("an ending before any snapshot is heard again, with the task", async () => {
    const server = await serve(endedStream(completed), endedStream(connected(), completed));
    expect(await watch(server).ending).toMatchObject({ type: "complete", task: { id: "t1" } });
  });

  test.each([404, 410])("%i rejects with the problem document", async (code) => {
    const server = await serve(problem(code, { code: "TASK_GONE", detail: "long ago" }));
    await expect(watch(server).ending).rejects.toMatchObject({
      name: "HoldfastClientError",
      code: "HTTP_STATUS",
      status: code,
      problem: { code: "TASK_GONE", detail: "long ago" },
    });
  });

  test("running out of retries rejects", async () => {
    const server = await serve(status(503));
    await expect(watch(server, { maxRetries: 1 }).ending).rejects.toMatchObject({
      code: "RETRIES_EXHAUSTED",
    });
  });

  test("close() and an aborted signal reject it, also one aborted before", async () => {
    const server = await serve(stream(connected()));
    const closing = watch(server);
    closing.close();
    await expect(closing.ending).rejects.toMatchObject({ code: "CLOSED" });
    await expect(watch(server, { signal: AbortSignal.abort() }).ending).rejects.toMatchObject({
      code: "ABORTED",
    });
  });
});

describe("watching", () => {
  test("iterates over every event to the ending", async () => {
    const server = await serve(
      endedStream(
        connected(),
        frame("scan.found", { taskId: id, attempt: 1, timestamp: 2, data: 3 }),
        completed,
      ),
    );
    const seen: WatchEvent[] = [];
    for await (const event of watch(server)) seen.push(event);
    expect(seen.map(({ type }) => type)).toEqual(["connected", "custom", "complete"]);
    expect(seen[1]).toMatchObject({ name: "scan.found", data: { data: 3 } });
  });

  test("an iteration after the ending gives the task and ends", async () => {
    const server = await serve(endedStream(connected(), completed));
    const watching = watch(server);
    await watching.ending;
    const seen: string[] = [];
    for await (const { type } of watching) seen.push(type);
    expect(seen).toEqual(["snapshot"]);
  });

  test("an iteration throws when the watch fails", async () => {
    const server = await serve(status(403));
    const iteration = watch(server)[Symbol.asyncIterator]();
    await expect(iteration.next()).rejects.toMatchObject({ status: 403 });
  });

  test("callbacks that throw stop nothing and are reported", async () => {
    const reported = vi.fn<(error: unknown) => void>();
    vi.stubGlobal("reportError", reported);
    const server = await serve(endedStream(connected(), completed));
    const onEvent = vi.fn<() => void>(() => {
      throw new Error("mine");
    });
    const watching = watch(server, { onEvent });
    watching.subscribe(() => {
      throw new Error("mine too");
    });
    expect(await watching.ending).toMatchObject({ type: "complete" });
    expect(onEvent).toHaveBeenCalledTimes(2);
    expect(reported).toHaveBeenCalledWith(expect.objectContaining({ message: "mine" }));
  });

  test("the connection tells its state and when the last heartbeat came", async () => {
    const beat = frame("heartbeat", {
      timestamp: 1,
      timestampMs: 1000,
      cursor: cursor(5),
      producerSeenMs: null,
    });
    const server = await serve(endedStream(connected(), beat, completed));
    const states: string[] = [];
    const watching = watch(server, { onConnection: ({ state }) => states.push(state) });
    expect(watching.connection).toMatchObject({ state: "idle", transport: "sse", lastHeartbeatAtMs: null });
    const before = Date.now();
    await watching.ending;
    expect(watching.connection.lastHeartbeatAtMs).toBeGreaterThanOrEqual(before);
    expect(states.slice(0, 2)).toEqual(["connecting", "open"]);
  });

  test("a bad id and an unknown option are refused at once", () => {
    expect(() => watchTask("../x", { baseUrl: "http://127.0.0.1" })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
    const misspelt: object = { baseURL: "http://127.0.0.1" };
    expect(() => watchTask("t1", misspelt)).toThrow(expect.objectContaining({ code: "UNKNOWN_OPTION" }));
  });
});
