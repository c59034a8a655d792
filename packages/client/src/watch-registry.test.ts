import { afterEach, expect, test, vi } from "vitest";
import { endedStream, frame, LocalServer, stream, type Answer } from "./node-local-server.test.kit.js";
import { cursor, task, taskId } from "./task.test.kit.js";
import { UNWATCHED, WatchRegistry } from "./watch-registry.js";
import { watchTask } from "./watch-task.js";

const releases: (() => unknown)[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).toReversed()) await release();
});

const now = task();
const connected = frame(
  "connected",
  { taskId: now.id, timestamp: 1, cursor: now.cursor, resumed: false, heartbeatMs: 10_000, task: now },
  now.cursor,
);
const complete = frame("complete", { taskId: taskId("t1"), timestamp: 9, result: null }, cursor(6));

async function serve(
  ...answers: readonly Answer[]
): Promise<{ server: LocalServer; registry: WatchRegistry }> {
  const server = await LocalServer.start(...answers);
  releases.push(() => server.stop());
  const baseUrl = `${server.url}/api/v1`;
  return { server, registry: new WatchRegistry({ watchTask: (id) => watchTask(id, { baseUrl }) }) };
}

/** Resolves when it holds, looked at whenever the task changes; the subscription stays. */
async function until(registry: WatchRegistry, holds: () => boolean): Promise<void> {
  await new Promise<void>((resolve) => {
    const look = (): void => void (holds() && resolve());
    releases.push(registry.subscribe("t1", look));
    look();
  });
}

test("two listeners share one watch, which ends with the last of them", async () => {
  let gone: () => void = () => undefined;
  const left = new Promise<void>((resolve) => {
    gone = resolve;
  });
  const { server, registry } = await serve((request, response, index) => {
    response.on("close", gone);
    return stream(connected)(request, response, index);
  });
  expect(registry.read("t1")).toBe(UNWATCHED);
  const first = registry.subscribe("t1", () => undefined);
  const second = registry.subscribe("t1", () => undefined);
  await until(registry, () => registry.read("t1").task !== null);
  releases.pop()?.();
  expect(registry.read("t1")).toBe(registry.read("t1"));
  expect(server.requests).toHaveLength(1);
  first();
  await Promise.resolve();
  expect(registry.read("t1")).toMatchObject({ task: { status: "uploading" }, error: null });
  second();
  await left;
  expect(registry.read("t1")).toBe(UNWATCHED);
});

test("a listener that leaves and comes back in one turn keeps the watch", async () => {
  const { server, registry } = await serve(stream(connected));
  registry.subscribe("t1", () => undefined)();
  releases.push(registry.subscribe("t1", () => undefined));
  await until(registry, () => registry.read("t1").task !== null);
  expect(server.requests).toHaveLength(1);
});

test("the ending stays for as long as somebody looks", async () => {
  const { registry } = await serve(endedStream(connected, complete));
  await until(registry, () => registry.read("t1").ending !== null);
  expect(registry.read("t1")).toMatchObject({
    ending: { type: "complete" },
    task: { status: "completed" },
    error: null,
  });
});

test("what can't be watched is an error to show, not one that is thrown", async () => {
  const registry = new WatchRegistry({ watchTask: (id) => watchTask(id, { baseUrl: "http://127.0.0.1" }) });
  releases.push(registry.subscribe("no id", vi.fn<() => void>()));
  expect(registry.read("no id").error).toMatchObject({ code: "INVALID_OPTION" });
  const refused: Answer = (_request, response) => void response.writeHead(404).end();
  const { registry: other } = await serve(refused);
  await until(other, () => other.read("t1").error !== null);
  expect(other.read("t1").error).toMatchObject({ status: 404 });
});
