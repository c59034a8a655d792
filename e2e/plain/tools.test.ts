/** Everyday tools see the stream as it is meant to be seen. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../harness/command-run.js";
import { callJson } from "../harness/http-call.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { RawSocket } from "./raw-socket.js";

const { dataDir, remove } = makeDataDir();
let server: ServerProcess;
let url: string;
let tasks = 0;

beforeAll(async () => {
  ({ server, url } = await ServerProcess.start({ dataDir, flags: ["--log-level=error"] }));
});

afterAll(async () => {
  await server.kill();
  remove();
});

async function makeTask(): Promise<string> {
  tasks += 1;
  const id = `plain-${tasks}`;
  await callJson(`${url}/api/v1/tasks`, { json: { id, total: 2 } });
  return id;
}

async function report(id: string, type: string, data: object): Promise<void> {
  const { status } = await callJson(`${url}/api/v1/tasks/${id}/events`, { json: { type, data } });
  expect(status).toBe(200);
}

function namesOf(stream: string): readonly string[] {
  return [...stream.matchAll(/^event: (.+)$/gm)].map(([, name = ""]) => name);
}

async function untilHeard(heard: () => string, text: string): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!heard().includes(text)) {
    if (performance.now() > deadlineMs) throw new Error(`${text} was not heard: ${heard()}`);
    await new Promise((resolve) => void setTimeout(resolve, 20));
  }
}

for (const version of ["--http1.1", "--http1.0"]) {
  test(`curl -N ${version} prints connected … complete, and finishes by itself`, async () => {
    const id = await makeTask();
    const address = `${url}/api/v1/tasks/${id}/stream`;
    const running = runCommand("curl", [
      "-sS",
      "-N",
      version,
      "-i",
      "-H",
      "Accept: text/event-stream",
      address,
    ]);
    await new Promise((resolve) => void setTimeout(resolve, 300));
    await report(id, "progress", { done: 1 });
    await report(id, "complete", { result: { ok: true } });
    const { code, stdout, stderr } = await running;
    expect([code, stderr]).toEqual([0, ""]);
    const names = namesOf(stdout);
    expect([names[0], names.at(-1)]).toEqual(["connected", "complete"]);
    expect(names.filter((name) => name === "complete")).toHaveLength(1);
    expect(stdout).toMatch(/^content-type: text\/event-stream; charset=utf-8\r$/im);
    expect(stdout).not.toMatch(/^content-length:/im);
  });
}

test("an HTTP/1.0 client gets the stream without chunks, ended by the close", async () => {
  const id = await makeTask();
  const socket = await RawSocket.open(url);
  socket.write(`GET /api/v1/tasks/${id}/stream HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n`);
  await untilHeard(() => socket.heard, "event: connected");
  await report(id, "complete", { result: null });
  expect(await socket.closedWithin(5_000)).toBe(true);
  const [head = "", ...body] = socket.heard.split("\r\n\r\n");
  expect(head).not.toMatch(/transfer-encoding/i);
  expect(body.join("")).toMatch(/^(retry|id|event): [^]*event: complete\n[^]*\n\n$/);
});

test("ab reads the stream of an ended task a hundred times, ten at once, and none fails", async () => {
  const id = await makeTask();
  await report(id, "complete", { result: null });
  const { code, stdout } = await runCommand("ab", [
    "-n",
    "100",
    "-c",
    "10",
    "-s",
    "60",
    `${url}/api/v1/tasks/${id}/stream`,
  ]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^Complete requests:\s+100$/m);
  expect(stdout).toMatch(/^Failed requests:\s+0$/m);
  expect(stdout).not.toMatch(/^Non-2xx responses:/m);
});

test("whoever has seen the ending is told so by 204", async () => {
  const id = await makeTask();
  await report(id, "complete", { result: null });
  const address = `${url}/api/v1/tasks/${id}/stream`;
  const seen = await runCommand("curl", ["-sS", "-N", address]);
  const last = [...seen.stdout.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? "";
  const again = await runCommand("curl", [
    "-sS",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    "-H",
    `Last-Event-ID: ${last}`,
    address,
  ]);
  expect(again.stdout).toBe("204");
});
