import { text } from "node:stream/consumers";
import { expect, test } from "vitest";
import { HoldfastApi, type HoldfastApiOptions } from "./holdfast-api.js";
import {
  problem,
  status,
  stream,
  useServers,
  type Answer,
  type LocalServer,
} from "./node-local-server.test.kit.js";
import { task } from "./task.test.kit.js";

const { serve } = useServers();

async function api(
  options: HoldfastApiOptions,
  ...answers: readonly Answer[]
): Promise<{ server: LocalServer; api: HoldfastApi }> {
  const server = await serve(...answers);
  return { server, api: new HoldfastApi({ baseUrl: `${server.url}/base/`, ...options }) };
}

const json = (value: unknown): Answer =>
  status(200, { "Content-Type": "application/json" }, JSON.stringify(value));

test("a task is read below the base path", async () => {
  const { server, api: client } = await api({}, json(task()));
  expect(await client.task("t1")).toEqual(task());
  expect(server.requests[0]).toMatchObject({ method: "GET", url: "/base/tasks/t1" });
});

test("a batch is created with what was given", async () => {
  let body = "";
  const { api: client } = await api({}, async (request, response, index) => {
    body = await text(request);
    await json({ batchId: "b1" })(request, response, index);
  });
  expect(await client.createBatch({ metadata: { a: 1 } })).toEqual({ batchId: "b1" });
  expect(JSON.parse(body)).toEqual({ metadata: { a: 1 } });
});

test("cancelling and closing need no body in the answer", async () => {
  const { server, api: client } = await api({}, status(204));
  await client.cancelUpload("t1");
  await client.cancelTask("t1");
  await client.closeBatch("b1");
  expect(server.requests.map(({ method, url }) => `${method} ${url}`)).toEqual([
    "DELETE /base/uploads/t1",
    "DELETE /base/tasks/t1",
    "POST /base/batches/b1/close",
  ]);
});

test("a refusal carries status and problem document", async () => {
  const { api: client } = await api({}, problem(404, { code: "BATCH_NOT_FOUND", detail: "no such batch" }));
  await expect(client.batch("b1")).rejects.toMatchObject({
    code: "HTTP_STATUS",
    status: 404,
    problem: { code: "BATCH_NOT_FOUND" },
    message: expect.stringContaining("no such batch"),
  });
});

test("401 is met once with fresh headers", async () => {
  const { server, api: client } = await api({ headers: () => ({}) }, status(401), json(task()));
  await client.task("t1");
  expect(server.requests).toHaveLength(2);
});

test("an answer that never ends meets the deadline", async () => {
  const { api: client } = await api({ requestTimeout: 30 }, stream("{"));
  await expect(client.task("t1")).rejects.toMatchObject({ code: "TIMEOUT" });
});

test("a signal aborts, a dead port is NETWORK, a page of HTML is no task", async () => {
  const { api: client } = await api({}, status(200, { "Content-Type": "text/html" }, "<p>"));
  await expect(client.task("t1", { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "ABORTED" });
  await expect(client.task("t1")).rejects.toMatchObject({ code: "BAD_RESPONSE" });
  const { server, api: dead } = await api({}, status(204));
  await server.stop();
  await expect(dead.task("t1")).rejects.toMatchObject({ code: "NETWORK" });
});

test("an id that would leave its path is refused before any request", async () => {
  const { server, api: client } = await api({}, status(204));
  await expect(client.task("../batches")).rejects.toMatchObject({ code: "INVALID_OPTION" });
  expect(server.requests).toHaveLength(0);
});
