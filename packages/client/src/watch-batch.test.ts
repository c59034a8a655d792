import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import {
  endedStream,
  frame,
  status,
  stream,
  useServers,
  type Answer,
  type LocalServer,
} from "./node-local-server.test.kit.js";
import { INTERNALS } from "./stream-options.js";
import { cursor, task, taskId } from "./task.test.kit.js";
import { watchBatch, watchTasks, type BatchWatch } from "./watch-batch.js";
import type { WatchOptions } from "./watch-options.js";

const servers = useServers();

async function serve(...answers: readonly Answer[]): Promise<{ server: LocalServer; options: WatchOptions }> {
  const server = await servers.serve(...answers);
  const environment = { ...SYSTEM_ENVIRONMENT, random: () => 0 };
  return { server, options: { baseUrl: `${server.url}/api/v1`, [INTERNALS]: { environment } } };
}

function kept(watch: BatchWatch): BatchWatch {
  servers.release(() => watch.close());
  return watch;
}

const a = taskId("a");
const b = taskId("b");
const connected = frame(
  "connected",
  { batchId: "b1", taskIds: [a, b], timestamp: 1, cursor: cursor(1), resumed: false, heartbeatMs: 10_000 },
  cursor(1),
);
const snapshots = frame("snapshot", { task: task({ id: a }) }) + frame("snapshot", { task: task({ id: b }) });
const endA = frame("complete", { taskId: a, timestamp: 9, result: null }, cursor(6));
const endB = frame("cancelled", { taskId: b, timestamp: 9, reason: "user" }, cursor(7));
const all = frame(
  "batchComplete",
  { batchId: "b1", tasks: 2, completed: 1, failed: 0, cancelled: 1, timestamp: 9 },
  cursor(8),
);

describe("watchBatch", () => {
  test("follows every task on one connection to the end of the batch", async () => {
    const sums = {
      batchId: "b1",
      tasks: 2,
      completed: 1,
      failed: 0,
      cancelled: 1,
      total: 200,
      uploaded: 150,
      percentage: 75,
    };
    const { server, options } = await serve(
      endedStream(connected, snapshots, endA, endB, frame("batch", sums), all),
    );
    const watch = kept(watchBatch("b1", options));
    expect(await watch.done).toMatchObject({ completed: 1, failed: 0, cancelled: 1 });
    expect([...watch.tasks.values()].map(({ id, status: s }) => [id, s])).toEqual([
      ["a", "completed"],
      ["b", "cancelled"],
    ]);
    expect(watch.batch).toEqual(sums);
    expect(server.requests.map(({ url }) => url)).toEqual(["/api/v1/batches/b1/stream"]);
  });

  test("tasks is the same map until a task changes", async () => {
    const beat = frame("heartbeat", {
      timestamp: 1,
      timestampMs: 1,
      cursor: cursor(1),
      producerSeenMs: null,
    });
    const { options } = await serve(endedStream(connected, snapshots, beat, endA, all));
    const watch = kept(watchBatch("b1", options));
    const maps = new Set([watch.tasks]);
    watch.subscribe(() => maps.add(watch.tasks));
    await watch.done;
    // Empty, with a, with b, with a completed; the heartbeat and the connection changed none.
    expect([...maps].map(({ size }) => size)).toEqual([0, 1, 2, 2]);
  });

  test("204 before batchComplete begins the stream anew, which tells how all ended", async () => {
    const { server, options } = await serve(
      endedStream(connected, snapshots, endA),
      status(204),
      endedStream(connected, snapshots, endA, endB, all),
    );
    expect(await kept(watchBatch("b1", options)).done).toMatchObject({ completed: 1, cancelled: 1 });
    expect(server.requests.map(({ headers }) => headers["last-event-id"] !== undefined)).toEqual([
      false,
      true,
      false,
    ]);
  });
});

describe("watchTasks", () => {
  test("names the tasks in the URL, and says which the server can't tell about", async () => {
    const gone = frame("unavailable", { taskId: "b", code: "TASK_NOT_FOUND" });
    const { server, options } = await serve(
      stream(connected, frame("snapshot", { task: task({ id: a }) }), gone),
    );
    const watch = kept(watchTasks(["a", "b"], options));
    await new Promise<void>((resolve) => {
      watch.subscribe(() => void (watch.unavailable.size === 1 && resolve()));
    });
    expect(watch.unavailable.get("b")).toBe("TASK_NOT_FOUND");
    expect(server.requests[0]?.url).toBe("/api/v1/stream?task=a&task=b");
  });

  test("sends more than a hundred in the body", async () => {
    let body = "";
    const { server, options } = await serve(async (request, response, index) => {
      body = await text(request);
      await endedStream(connected, all)(request, response, index);
    });
    const ids = Array.from({ length: 101 }, (_, i) => `t${i}`);
    await kept(watchTasks(ids, options)).done;
    expect(server.requests[0]).toMatchObject({ method: "POST", url: "/api/v1/stream" });
    expect(server.requests[0]?.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(body)).toEqual({ tasks: ids });
  });
});
