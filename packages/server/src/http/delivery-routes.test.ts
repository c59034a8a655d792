import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { closeServed, serve, until } from "./served.test.kit.js";
import { signToken } from "./token.js";

afterEach(closeServed);

test("an operator can ask who was sent the ending, and find each connection in the log", async () => {
  const { api, holdfast, logs } = await serve();
  const handle = await holdfast.tasks.create({ id: "job" });
  const reading = (await fetch(`${api}/tasks/job/stream`)).text();
  await handle.complete();
  await reading;
  const { cursor } = await holdfast.tasks.get("job");
  expect((await fetch(`${api}/tasks/job/stream`, { headers: { "Last-Event-ID": cursor } })).status).toBe(204);
  await until(() => logs.some((line) => line["msg"] === "stream ended"));
  const response = await fetch(`${api}/tasks/job/deliveries`);
  const answer = (await response.json()) as { items: { connectionId: string }[] };
  expect([response.status, response.headers.get("cache-control")]).toEqual([200, "no-store"]);
  const atMs = expect.any(Number) as number;
  const connectionId = expect.stringMatching(/^[0-9a-f-]{36}$/) as string;
  expect(answer).toEqual({
    taskId: "job",
    status: "completed",
    sent: 1,
    acknowledged: 1,
    items: [
      {
        connectionId,
        transport: "sse",
        outcome: "acknowledged",
        openedAtMs: atMs,
        sentAtMs: null,
        closedAtMs: atMs,
        flushed: null,
        reason: null,
      },
      {
        connectionId,
        transport: "sse",
        outcome: "sent",
        openedAtMs: atMs,
        sentAtMs: atMs,
        closedAtMs: atMs,
        flushed: true,
        reason: "completed",
      },
    ],
  });
  const { items, sent: connections } = await holdfast.tasks.deliveries("job");
  expect([items, connections]).toEqual([answer.items, 1]);
  await expect(holdfast.tasks.deliveries("none")).rejects.toMatchObject({ code: "TASK_NOT_FOUND" });
  const [acknowledged, sent] = answer.items;
  const linesOf = (id: string | undefined): unknown[] =>
    logs.filter((line) => line["connection"] === id).map((line) => line["msg"]);
  expect(linesOf(sent?.connectionId)).toEqual(["stream opened", "stream ended"]);
  expect(linesOf(acknowledged?.connectionId)).toEqual(["no stream: the client has had the ending"]);
});

test("what was delivered is still known after a restart", async () => {
  const dataDir = mkdtempSync(join(tmpdir(), "holdfast-deliveries-"));
  try {
    const before = await serve({ store: null, dataDir });
    const handle = await before.holdfast.tasks.create({ id: "job" });
    const reading = (await fetch(`${before.api}/tasks/job/stream`)).text();
    await handle.complete();
    await reading;
    await before.holdfast.close();
    const after = await serve({ store: null, dataDir });
    const answer = await (await fetch(`${after.api}/tasks/job/deliveries`)).json();
    expect(answer).toMatchObject({
      sent: 1,
      items: [{ outcome: "sent", flushed: true, reason: "completed" }],
    });
    await after.holdfast.close();
  } finally {
    rmSync(dataDir, { recursive: true, force: true });
  }
});

test("deliveries are the producer's and the operator's to see; unknown tasks are 404", async () => {
  const secret = "s".repeat(32);
  const { api, holdfast } = await serve({ authSecret: secret });
  await holdfast.tasks.create({ id: "job" });
  const ask = async (scope: "watch" | "produce" | "admin", id: string): Promise<number> => {
    const token = await signToken({ secret, scopes: [scope], expiresInSeconds: 60 });
    return (await fetch(`${api}/tasks/${id}/deliveries`, { headers: { Authorization: `Bearer ${token}` } }))
      .status;
  };
  expect([await ask("watch", "job"), await ask("produce", "job"), await ask("admin", "job")]).toEqual([
    403, 200, 200,
  ]);
  expect(await ask("admin", "none")).toBe(404);
});
