import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { signToken } from "./token.js";
import { closeServed, json, serve, until } from "./served.test.kit.js";

afterEach(closeServed);

async function waits(url: string): Promise<string> {
  return /^holdfast_control_waits (\d+)$/m.exec(await (await fetch(`${url}/metrics`)).text())?.[1] ?? "";
}

/** Resolves when so many wait. */
async function untilWaiting(url: string, count: string): Promise<void> {
  while ((await waits(url)) !== count) await new Promise((resolve) => void setImmediate(resolve));
}

test("control is answered when the task is cancelled, long before its time is over", async () => {
  const { api, url, holdfast } = await serve();
  await holdfast.tasks.create({ id: "job" });
  const asking = fetch(`${api}/tasks/job/control?wait=60`);
  await untilWaiting(url, "1");
  await fetch(`${api}/tasks/job`, { method: "DELETE" });
  const answer = await asking;
  expect([answer.status, answer.headers.get("cache-control")]).toEqual([200, "no-store"]);
  expect(await answer.json()).toEqual({
    status: "cancelled",
    attempt: 1,
    cancelRequested: true,
    reason: "cancelled by request",
    watchers: 0,
  });
  expect(await waits(url)).toBe("0");
});

test("a wait outside its bound, or watchers that are no number, are refused by field", async () => {
  const { api, holdfast } = await serve();
  await holdfast.tasks.create({ id: "job" });
  const refused = async (query: string): Promise<unknown> => {
    const response = await fetch(`${api}/tasks/job/control?${query}`);
    const { field } = (await response.json()) as { field?: string };
    return [response.status, field];
  };
  for (const wait of ["61", "-1", "1.5", "", "1e1", "0x10", "25s", "9".repeat(400), "1&wait=2", "%00"]) {
    expect(await refused(`wait=${wait}`)).toEqual([422, "wait"]);
  }
  for (const watchers of ["-1", "all", "9".repeat(17)]) {
    expect(await refused(`wait=0&watchers=${watchers}`)).toEqual([422, "watchers"]);
  }
  expect((await fetch(`${api}/tasks/job/control?wait=0`)).status).toBe(200);
  expect((await fetch(`${api}/tasks/none/control?wait=0`)).status).toBe(404);
  expect((await fetch(`${api}/tasks/job/control`, { method: "HEAD" })).status).toBe(405);
});

test("control is the producer's: a token that may only watch is refused", async () => {
  const authSecret = "s".repeat(32);
  const { api, holdfast } = await serve({ authSecret });
  await holdfast.tasks.create({ id: "job" });
  const ask = async (scopes: readonly ("watch" | "produce")[]): Promise<number> => {
    const token = await signToken({ secret: authSecret, scopes, taskId: "job", expiresInSeconds: 60 });
    const headers = { Authorization: `Bearer ${token}` };
    return (await fetch(`${api}/tasks/job/control?wait=0`, { headers })).status;
  };
  expect(await ask(["watch"])).toBe(403);
  expect(await ask(["produce"])).toBe(200);
});

test("a client that leaves while it waits leaves nothing behind, and is no error", async () => {
  const { api, url, holdfast, logs } = await serve();
  await holdfast.tasks.create({ id: "job" });
  const leaving = new AbortController();
  const asking = fetch(`${api}/tasks/job/control?wait=60`, { signal: leaving.signal });
  await untilWaiting(url, "1");
  leaving.abort();
  await expect(asking).rejects.toThrow(/abort/);
  await untilWaiting(url, "0");
  expect(logs.filter(({ level }) => Number(level) >= 40)).toEqual([]);
});

test("waits pipelined on one connection end with it", async () => {
  const { api, url, port, holdfast } = await serve();
  await holdfast.tasks.create({ id: "job" });
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write("GET /api/v1/tasks/job/control?wait=60 HTTP/1.1\r\nHost: a\r\n\r\n".repeat(12));
  await untilWaiting(url, "12");
  socket.destroy();
  await untilWaiting(url, "0");
  expect((await fetch(`${api}/tasks/job/control?wait=0`)).status).toBe(200);
});

test("closing the server answers a producer that waits", async () => {
  const { api, url, holdfast } = await serve();
  await holdfast.tasks.create({ id: "job" });
  const asking = fetch(`${api}/tasks/job/control?wait=60`);
  await untilWaiting(url, "1");
  const closing = holdfast.close();
  expect(await (await asking).json()).toMatchObject({ status: "pending", cancelRequested: false });
  await closing;
});

test("a report is answered with the number of watchers, and the host's own job hears it change", async () => {
  const { api, holdfast } = await serve();
  const handle = await holdfast.tasks.create({ id: "job" });
  const heard: number[] = [];
  handle.onWatchers((watchers) => heard.push(watchers));
  const forgotten = handle.onWatchers(() => heard.push(-1));
  forgotten();
  const leaving = new AbortController();
  await fetch(`${api}/tasks/job/stream`, { signal: leaving.signal });
  const report = await fetch(
    `${api}/tasks/job/events`,
    json("POST", { type: "progress", data: { done: 1 } }),
  );
  expect(await report.json()).toMatchObject({ status: "processing", watchers: 1 });
  expect([handle.watchers, heard]).toEqual([1, [1]]);
  leaving.abort();
  await until(() => handle.watchers === 0);
  expect(heard).toEqual([1, 0]);
  await handle.complete();
  await (await fetch(`${api}/tasks/job/stream`)).text();
  expect(heard).toEqual([1, 0]);
});

test("a listener of watchers that throws breaks no stream, and is told to the log", async () => {
  const { api, holdfast, logs } = await serve();
  const handle = await holdfast.tasks.create({ id: "job" });
  handle.onWatchers(() => {
    throw new Error("the host's mistake");
  });
  const reading = (await fetch(`${api}/tasks/job/stream`)).text();
  await handle.complete();
  expect(await reading).toContain("event: complete");
  expect(logs.some((line) => line["msg"] === "failed: telling the watchers of task job")).toBe(true);
});
