import { text } from "node:stream/consumers";
import { afterEach, describe, expect, test } from "vitest";
import {
  endedStream,
  frame,
  LocalServer,
  problem,
  stream,
  type Answer,
} from "./node-local-server.test.kit.js";
import { createSharedStreams, type SharedStreams, type SharedStreamsOptions } from "./shared.js";
import { cursor, task, taskId } from "./task.test.kit.js";

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).toReversed()) await release();
});

async function serve(...answers: readonly Answer[]): Promise<{ server: LocalServer; shared: SharedStreams }> {
  const server = await LocalServer.start(...answers);
  releases.push(() => server.stop());
  const shared = share({ baseUrl: `${server.url}/api/v1`, retryDelay: 10 });
  return { server, shared };
}

function share(options: SharedStreamsOptions): SharedStreams {
  const shared = createSharedStreams(options);
  releases.push(() => shared.close());
  return shared;
}

const connected = (...ids: readonly string[]): string =>
  frame(
    "connected",
    {
      batchId: null,
      taskIds: ids.map(taskId),
      timestamp: 1,
      cursor: cursor(5),
      resumed: false,
      heartbeatMs: 10_000,
    },
    cursor(5),
  );
const snapshot = (id: string, fields: Parameters<typeof task>[0] = {}): string =>
  frame("snapshot", { task: task({ id: taskId(id), ...fields }) });
const complete = (id: string, sequence: number): string =>
  frame("complete", { taskId: id, timestamp: 9, result: null }, cursor(sequence));

describe("where no other tab can be found", () => {
  test("two tasks watched in one turn take one stream, and each hears its own ending", async () => {
    const { server, shared } = await serve(
      endedStream(connected("a", "b"), snapshot("a"), snapshot("b"), complete("b", 6), complete("a", 7)),
    );
    const a = shared.watchTask("a");
    const b = shared.watchTask("b");
    const heard: string[] = [];
    for await (const { type } of a) heard.push(type);
    expect(heard).toEqual(["connected", "complete"]);
    expect(await a.ending).toMatchObject({ type: "complete", task: { id: "a", status: "completed" } });
    expect(await b.ending).toMatchObject({ type: "complete", task: { id: "b", status: "completed" } });
    expect(server.requests.map(({ url }) => url)).toEqual(["/api/v1/stream?task=a&task=b"]);
    expect(shared.leading).toBe(true);
  });

  test("a task that is watched later is asked for together with the others, from where they are", async () => {
    const { server, shared } = await serve(
      stream(connected("a"), snapshot("a")),
      stream(connected("a", "b"), snapshot("a"), snapshot("b"), complete("b", 6)),
    );
    const a = shared.watchTask("a");
    for await (const { type } of a) if (type === "connected") break;
    expect(await shared.watchTask("b").ending).toMatchObject({ type: "complete" });
    expect(server.requests[1]?.url).toBe("/api/v1/stream?task=a&task=b");
    expect(server.requests[1]?.headers["last-event-id"]).toBe(cursor(5));
    expect(a.connection.state).toBe("open");
  });

  test("an ending from before is told from the snapshot", async () => {
    const { shared } = await serve(
      stream(connected("a"), snapshot("a", { status: "failed", endedAt: 3, cursor: cursor(2) })),
    );
    expect(await shared.watchTask("a").ending).toMatchObject({ type: "failed" });
  });

  test("a task that the server does not know rejects as on a stream of its own", async () => {
    const unknown = frame("unavailable", { taskId: "a", code: "TASK_NOT_FOUND" });
    const { shared } = await serve(stream(connected("b"), unknown, snapshot("b"), complete("b", 6)));
    const [a, b] = [shared.watchTask("a"), shared.watchTask("b")];
    await expect(a.ending).rejects.toMatchObject({ status: 404, problem: { code: "TASK_NOT_FOUND" } });
    expect(await b.ending).toMatchObject({ type: "complete" });
  });

  test("a refusal reaches every watch, and the next one asks anew", async () => {
    const { server, shared } = await serve(
      problem(403, { code: "FORBIDDEN" }),
      stream(connected("a"), snapshot("a"), complete("a", 6)),
    );
    await expect(shared.watchTask("a").ending).rejects.toMatchObject({ status: 403 });
    expect(await shared.watchTask("a").ending).toMatchObject({ type: "complete" });
    expect(server.requests).toHaveLength(2);
  });

  test("several named together complete when all of them have ended", async () => {
    const { shared } = await serve(
      stream(
        connected("a", "b", "c"),
        snapshot("a"),
        snapshot("b"),
        snapshot("c"),
        complete("a", 6),
        complete("b", 7),
      ),
    );
    void shared.watchTask("c");
    expect(await shared.watchTasks(["a", "b"]).done).toMatchObject({ completed: 2, failed: 0, cancelled: 0 });
  });

  test("a batch has a stream of its own", async () => {
    const batch = { batchId: "b1", tasks: 1, completed: 1, failed: 0, cancelled: 0, timestamp: 1 };
    const { server, shared } = await serve(
      endedStream(connected("a"), snapshot("a"), complete("a", 6), frame("batchComplete", batch)),
    );
    expect(await shared.watchBatch("b1").done).toMatchObject({ completed: 1 });
    expect(server.requests[0]?.url).toBe("/api/v1/batches/b1/stream");
  });

  test("more than a hundred go in the body", async () => {
    let body = "";
    const { server, shared } = await serve(async (request, response, index) => {
      body = await text(request);
      await stream(connected("t0"), snapshot("t0"), complete("t0", 6))(request, response, index);
    });
    const watches = Array.from({ length: 101 }, (_, n) => shared.watchTask(`t${n}`));
    await watches[0]?.ending;
    expect(server.requests[0]).toMatchObject({ method: "POST", url: "/api/v1/stream" });
    expect(JSON.parse(body)).toMatchObject({ tasks: watches.map(({ taskId: id }) => id) });
  });

  test("of more than a thousand, those that are too many are refused loudly", async () => {
    const { shared } = await serve(stream(connected("t0"), snapshot("t0"), complete("t0", 6)));
    const watches = Array.from({ length: 1001 }, (_, n) => shared.watchTask(`t${n}`));
    await expect(watches.at(-1)?.ending).rejects.toMatchObject({ problem: { code: "TOO_MANY_TASKS" } });
    expect(await watches[0]?.ending).toMatchObject({ type: "complete" });
  });
});

describe("closing", () => {
  test("a closed watch and an aborted one reject, and the last one takes the stream with it", async () => {
    let gone: () => void = () => undefined;
    const left = new Promise<void>((resolve) => {
      gone = resolve;
    });
    const { shared } = await serve((request, response, index) => {
      response.on("close", gone);
      return stream(connected("a", "b"), snapshot("a"), snapshot("b"))(request, response, index);
    });
    const controller = new AbortController();
    const a = shared.watchTask("a");
    const b = shared.watchTask("b", { signal: controller.signal });
    for await (const { type } of a) if (type === "connected") break;
    a.close();
    controller.abort();
    await expect(a.ending).rejects.toMatchObject({ code: "CLOSED" });
    await expect(b.ending).rejects.toMatchObject({ code: "ABORTED" });
    await left;
  });

  test("closing all rejects what is watched", async () => {
    const { shared } = await serve(stream(connected("a"), snapshot("a")));
    const a = shared.watchTask("a");
    shared.close();
    await expect(a.ending).rejects.toMatchObject({ code: "ABORTED" });
    await expect(shared.watchTask("a").ending).rejects.toMatchObject({ code: "ABORTED" });
  });
});

describe("what is refused at once", () => {
  const baseUrl = "http://127.0.0.1/api/v1";
  test.each<[string, object]>([
    ["UNKNOWN_OPTION", { baseUrl, retries: 3 }],
    ["INVALID_OPTION", { baseUrl, maxRetries: -1 }],
    ["INVALID_OPTION", { baseUrl, headers: { Authorization: "Bearer x" } }],
  ])("%s: %j", (code, options) => {
    expect(() => createSharedStreams(options)).toThrow(expect.objectContaining({ code }));
  });

  test("options of the connection, given to one watch", () => {
    const shared = share({ baseUrl, headers: {}, scope: "user 1" });
    const misplaced: object = { maxRetries: 3 };
    expect(() => shared.watchTask("a", misplaced)).toThrow(
      expect.objectContaining({ code: "UNKNOWN_OPTION" }),
    );
  });
});
