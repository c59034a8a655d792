/**
 * Ten thousand streams opened and dropped in every rude way: afterwards the server holds what it held before.
 */
import { fork, type ChildProcess } from "node:child_process";
import { connect, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { EventReader } from "../harness/event-reader.js";
import { callJson } from "../harness/http-call.js";
import { reportResult } from "../harness/run-form.js";
import { makeDataDir } from "../harness/server-process.js";

interface Census {
  readonly sessions: number;
  readonly channels: number;
  readonly engineTimers: number;
  readonly sockets: number;
  readonly timeouts: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  readonly rssBytes: number;
}

const STREAMS = 10_000;
const WAVE = 250;
/** The heap grows to its working size in the first waves; the census before comes after them. */
const WARM_UP_WAVES = 8;
const CLOSES_WITHIN_MS = 15_000;
// Per stream 400 bytes left behind would be 4 MB, and a session with its sink is above 2 KB.
const MAX_HEAP_GROWTH_BYTES = 4_000_000;
// Freed pages go back to the system late or never, so this is no measure of what is held, only of what it may cost.
const MAX_RSS_GROWTH_BYTES = 64 * 1_048_576;
const TASKS = 8;

const DROPS = [
  ["reset before the head", (socket: Socket) => socket.resetAndDestroy()],
  ["closed before the head", (socket: Socket) => socket.destroy()],
  ["reset while half read", reset],
  ["closed while half read", close],
  ["ended by FIN while half read", end],
  ["ended by FIN, never read", endUnread],
] as const;

test(`${STREAMS} streams opened and dropped leave no session, subscription, timer, socket or memory behind`, async () => {
  const { dataDir, remove } = makeDataDir();
  const child = fork(fileURLToPath(new URL("embedded-server.mjs", import.meta.url)), [dataDir], {
    execArgv: ["--expose-gc"],
  });
  try {
    const { url } = await hear<{ readonly url: string }>(child);
    const paths = await makeTasks(url);
    const dropped: Record<string, number> = {};
    const openWave = async (wave: number): Promise<void> => {
      await Promise.all(
        Array.from({ length: WAVE }, async (_, index) => {
          const [name, drop] = DROPS[(index + wave) % DROPS.length] ?? DROPS[0];
          dropped[name] = (dropped[name] ?? 0) + 1;
          await openAndDrop(url, paths[index % paths.length] ?? "", drop);
        }),
      );
    };
    await whileProducing(url, async () => {
      for (let wave = 0; wave < WARM_UP_WAVES; wave += 1) await openWave(wave);
    });
    const before = await settle(child);
    await whileProducing(url, async () => {
      for (let wave = 0; wave < STREAMS / WAVE; wave += 1) await openWave(wave);
    });
    const after = await settle(child);

    const reader = new EventReader(`${url}${paths[0]}`);
    await reader.first("heartbeat");
    const held = await census(child);
    reader.close();
    reportResult("leak", {
      streams: STREAMS,
      wave: WAVE,
      dropped,
      before,
      after,
    });
    expect(held.sessions).toBe(1); // the census does see what is open
    expect(after).toMatchObject({ sessions: 0, channels: 0, engineTimers: 0 });
    expect(after.sockets).toBeLessThanOrEqual(before.sockets);
    expect(after.timeouts).toBeLessThanOrEqual(before.timeouts);
    expect(after.heapBytes - before.heapBytes).toBeLessThan(MAX_HEAP_GROWTH_BYTES);
    expect(after.externalBytes - before.externalBytes).toBeLessThan(MAX_HEAP_GROWTH_BYTES);
    expect(after.rssBytes - before.rssBytes).toBeLessThan(MAX_RSS_GROWTH_BYTES);
    const exited = new Promise<number | null>((resolve) => void child.once("exit", (code) => resolve(code)));
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
    remove();
  }
});

/** A task's stream, an upload of many milestones to replay, a batch's, and one of many tasks. */
async function makeTasks(url: string): Promise<readonly string[]> {
  await callJson(`${url}/api/v1/batches`, { json: { id: "drops" } });
  for (let task = 0; task < TASKS; task += 1) {
    const id = `drop-${task}`;
    await callJson(`${url}/api/v1/tasks`, { json: { id, total: 1_000_000, batchId: "drops" } });
    await callJson(`${url}/api/v1/tasks/${id}/events`, {
      json: { type: "note", data: { text: "x".repeat(4_000) } },
    });
  }
  const reader = new EventReader(`${url}/api/v1/tasks/drop-0/stream`);
  const first = await reader.first("connected");
  reader.close();
  const replay = `lastEventId=${encodeURIComponent(String(first.id).replace(/\d+$/, "1"))}`;
  return [
    "/api/v1/tasks/drop-0/stream",
    `/api/v1/tasks/drop-1/stream?${replay}`,
    "/api/v1/batches/drops/stream",
    "/api/v1/stream?task=drop-2&task=drop-3&task=unknown",
  ];
}

/** Something to write, all the time. */
async function whileProducing(url: string, run: () => Promise<void>): Promise<void> {
  let finished = false;
  const running = run().finally(() => {
    finished = true;
  });
  for (let done = 1; !finished; done += 1) {
    const type = done % 10 === 0 ? "tick" : "progress";
    const data = type === "progress" ? { done } : { text: "y".repeat(500) };
    await callJson(`${url}/api/v1/tasks/drop-${done % TASKS}/events`, { json: { type, data } });
    await pause(10);
  }
  await running;
}

async function openAndDrop(url: string, path: string, drop: (socket: Socket) => unknown): Promise<void> {
  const { hostname, port, host } = new URL(url);
  const socket = connect(Number(port), hostname);
  await new Promise<void>((resolve) => {
    socket.on("error", () => undefined); // a reset is what is wanted
    socket.once("close", () => resolve());
    socket.once("connect", () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n\r\n`);
      drop(socket);
    });
    socket.setTimeout(CLOSES_WITHIN_MS, () => socket.destroy());
  });
}

function reset(socket: Socket): void {
  socket.once("data", () => socket.resetAndDestroy());
}

function close(socket: Socket): void {
  socket.once("data", () => socket.destroy());
}

function end(socket: Socket): void {
  // Reads on until the server has noticed: a half-closed watcher is a watcher that has gone.
  socket.once("data", () => socket.end());
}

function endUnread(socket: Socket): void {
  socket.pause().end();
  // What was never read would keep our own end open for ever.
  setTimeout(() => socket.destroy(), 200);
}

/** The census once nothing is open any more; the last one when that does not come. */
async function settle(child: ChildProcess): Promise<Census> {
  const deadlineMs = performance.now() + CLOSES_WITHIN_MS;
  let last = await census(child);
  while (performance.now() < deadlineMs && (last.sessions > 0 || last.sockets > 1)) {
    await pause(100);
    last = await census(child);
  }
  return last;
}

async function census(child: ChildProcess): Promise<Census> {
  const heard = hear<Census>(child);
  child.send("census");
  return await heard;
}

async function hear<Message>(child: ChildProcess): Promise<Message> {
  return await new Promise((resolve, reject) => {
    const gone = (code: number | null): void => reject(new Error(`the server ended with ${code}`));
    child.once("exit", gone);
    child.once("message", (message) => {
      child.off("exit", gone);
      resolve(message as Message);
    });
  });
}
