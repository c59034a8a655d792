/**
 * Polls against a server that runs: our client behind a proxy that holds responses back, and a client that changes between
 * stream and poll all the time, while links break and the server is killed.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { randomBytes } from "node:crypto";
import { StableEventSource, watchBatch, watchTask } from "@holdfast/client";
import { upload } from "@holdfast/client/upload";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EventReader, type Frame } from "../harness/event-reader.js";
import { HoldingProxy } from "../harness/holding-proxy.js";
import { callHttp, callJson } from "../harness/http-call.js";
import { SEED } from "../harness/run-form.js";
import { SeededRandom } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

let server: ServerProcess;
let url: string;
let proxy: HoldingProxy;
const { dataDir, remove } = makeDataDir();
const flags = ["--progress-interval=50ms"];

beforeAll(async () => {
  ({ server, url } = await ServerProcess.start({ dataDir, flags }));
  proxy = await HoldingProxy.start(url);
});

afterAll(async () => {
  await proxy.stop();
  expect((await server.stop()).code).toBe(0);
  remove();
});

test("our client watches an upload to its ending through a proxy that holds every response back", async () => {
  const baseUrl = `${proxy.url}/api/v1`;
  const bytes = randomBytes(8_000_000);
  const sending = upload(bytes, { baseUrl, filename: "held.bin", chunkSize: 250_000 });
  const id = await sending.id;
  const watch = watchTask(id, { baseUrl, transports: ["poll"] });
  const transports = new Set<string>();
  const seen: number[] = [];
  const endings: string[] = [];
  for await (const event of watch) {
    transports.add(watch.connection.transport);
    if (event.type === "progress") seen.push(event.data.uploaded);
    if (event.type === "complete") endings.push(event.type);
  }
  expect((await watch.ending).type).toBe("complete");
  expect([...transports]).toEqual(["poll"]);
  expect(endings).toHaveLength(1);
  expect(seen.length).toBeGreaterThan(2);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  await sending.done;
});

test("a source over polls is opened once, hears everything once and is closed by 204 without an error", async () => {
  await callJson(`${url}/api/v1/tasks`, { json: { id: "source", total: 100 } });
  const source = new StableEventSource(`${proxy.url}/api/v1/tasks/source/stream`, { transports: ["poll"] });
  const heard: unknown[] = [];
  const errors: unknown[] = [];
  let opens = 0;
  source.addEventListener("open", () => void (opens += 1));
  const connected = new Promise((resolve) => {
    source.addEventListener("connected", resolve);
  });
  source.addEventListener("error", ({ reason }) => void errors.push(reason));
  source.addEventListener(
    "note",
    ({ data }) => void heard.push((JSON.parse(data) as { data: unknown }).data),
  );
  const closed = new Promise<string>((resolve) => {
    source.addEventListener("state", ({ state, reason }) => {
      if (state === "closed") resolve(reason);
    });
  });
  await connected;
  for (let count = 0; count < 30; count += 1) {
    await callJson(`${url}/api/v1/tasks/source/events`, { json: { type: "note", data: count } });
    if (count % 10 === 9) await sleep(120);
  }
  await callJson(`${url}/api/v1/tasks/source/events`, { json: { type: "complete", data: {} } });
  expect(await closed).toBe("done");
  expect(heard).toEqual(Array.from({ length: 30 }, (_, count) => count));
  expect([opens, errors]).toEqual([1, []]);
});

test.each([
  ["whole responses", false, "connect-timeout"],
  ["bodies, but no heads", true, "mute"],
])(
  "a watch that was told nothing steps down to polls by itself behind a proxy that holds back %s, and hears everything once",
  async (_what, passHead, reason) => {
    const id = `adapts-${reason}`;
    await callJson(`${url}/api/v1/tasks`, { json: { id, total: 100 } });
    const holding = await HoldingProxy.start(url, { passHead });
    const told: string[] = [];
    const watch = watchTask(id, {
      baseUrl: `${holding.url}/api/v1`,
      connectTimeout: 700,
      retryDelay: 50,
      debug: (line) => void told.push(line),
    });
    const heard: unknown[] = [];
    const reporting = (async () => {
      for (let count = 0; count < 20; count += 1) {
        await callJson(`${url}/api/v1/tasks/${id}/events`, { json: { type: "note", data: count } });
        await sleep(150);
      }
      await callJson(`${url}/api/v1/tasks/${id}/events`, { json: { type: "complete", data: {} } });
    })();
    for await (const event of watch) if (event.type === "custom") heard.push(event.data.data);
    await reporting;
    expect((await watch.ending).type).toBe("complete");
    // What was told before the first poll stands in no snapshot: the count begins where it came in, and has no hole and no double.
    const [first = 0] = heard.map(Number);
    expect(heard).toEqual(Array.from({ length: 20 - first }, (_, index) => first + index));
    expect(told.find((line) => line.startsWith("waiting"))).toContain(`(${reason})`);
    expect(told).toContainEqual(expect.stringMatching(/^open \(opened\) by poll/));
    await holding.stop();
  },
);

test("a batch is watched over polls, tasks added later included", async () => {
  const baseUrl = `${proxy.url}/api/v1`;
  await callJson(`${url}/api/v1/batches`, { json: { id: "polled" } });
  const watch = watchBatch("polled", { baseUrl, transports: ["poll"] });
  for (let count = 0; count < 5; count += 1) {
    await callJson(`${url}/api/v1/tasks`, { json: { id: `polled-${count}`, batchId: "polled" } });
    await callJson(`${url}/api/v1/tasks/polled-${count}/events`, { json: { type: "complete", data: {} } });
  }
  await callHttp(`${url}/api/v1/batches/polled/close`, { method: "POST" });
  await watch.done;
  expect([...watch.tasks.values()].map(({ status }) => status)).toEqual(
    Array.from({ length: 5 }, () => "completed"),
  );
});

/** Reads to 204, each time by stream or poll, whole or cut after some events; never more than one response at a time. */
class Alternating {
  readonly notes = new Map<string, number[]>();
  readonly progress = new Map<string, number>();
  readonly endings: string[] = [];
  readonly cursors: string[] = [];
  responses = 0;
  readonly #url: string;
  readonly #random: SeededRandom;
  #cursor: string;
  #rev: string | undefined;

  constructor(streamUrl: string, cursor: string, random: SeededRandom) {
    this.#url = streamUrl;
    this.#cursor = cursor;
    this.#random = random;
  }

  async run(deadlineMs: number): Promise<void> {
    const untilMs = performance.now() + deadlineMs;
    while (performance.now() < untilMs) {
      if (await this.#once()) return;
    }
    throw new Error(`not told that it is over within ${deadlineMs} ms`);
  }

  async #once(): Promise<boolean> {
    const polls = this.#random.next() < 0.6;
    const cuts = !polls || this.#random.next() < 0.4;
    const events = cuts ? this.#random.integer(1, 4) : Infinity;
    const query = new URL(this.#url);
    if (polls) query.searchParams.set("transport", "poll");
    if (polls) query.searchParams.set("wait", "1");
    if (polls && this.#rev !== undefined && this.#random.next() < 0.7)
      query.searchParams.set("rev", this.#rev);
    let taken = 0;
    const reader: EventReader = new EventReader(query.href, {
      lastEventId: this.#cursor,
      onFrame: (frame) => {
        if (taken === events) return;
        taken += 1;
        this.#hear(frame);
        if (taken === events) reader.close();
      },
    });
    // A stream that says little is cut all the same.
    const timer = setTimeout(() => reader.close(), 1_500);
    const end = await reader.ended;
    clearTimeout(timer);
    this.responses += 1;
    if (end.kind === "refused" && end.status !== 204) throw new Error(`refused with ${end.status}`);
    if (taken === 0 && end.kind === "cut") await sleep(20);
    return end.kind === "refused";
  }

  #hear({ event, id, data }: Frame): void {
    if (id !== undefined) this.#cursor = id;
    if (id !== undefined && event !== "connected") this.cursors.push(id);
    if (event === "heartbeat" && typeof data["rev"] === "string") this.#rev = data["rev"];
    const task = String(data["taskId"]);
    if (event === "note") this.notes.set(task, [...(this.notes.get(task) ?? []), Number(data["data"])]);
    if (event === "progress") this.progress.set(task, Number(data["done"]));
    if (event === "complete") this.endings.push(task);
  }
}

test.each([
  ["one task", 1],
  ["many tasks", 5],
])(
  "a client that alternates at random over %s, cut at random, with a server killed in between, misses nothing and hears nothing twice",
  async (_name, tasks) => {
    const random = new SeededRandom(SEED + tasks);
    console.log(`seed ${SEED}`);
    const ids = Array.from({ length: tasks }, (_, index) => `alt-${tasks}-${index}`);
    await callJson(`${url}/api/v1/batches`, { json: { id: `alt-${tasks}` } });
    let cursor = "";
    for (const id of ids) {
      const task = { id, batchId: `alt-${tasks}`, total: 1_000 };
      const { json } = await callJson(`${url}/api/v1/tasks`, { json: task });
      cursor = String(json["cursor"]);
    }
    const path = tasks === 1 ? `tasks/${ids[0]}/stream` : `batches/alt-${tasks}/stream`;
    const client = new Alternating(`${url}/api/v1/${path}`, cursor, new SeededRandom(SEED));
    const reading = client.run(60_000);
    const sent = new Map<string, number[]>();
    const report = async (id: string, json: object): Promise<void> => {
      const { status } = await callJson(`${url}/api/v1/tasks/${id}/events`, { json });
      expect(status).toBe(200);
    };
    for (let count = 0; count < 150; count += 1) {
      const id = ids[random.integer(0, tasks - 1)] ?? "";
      await report(id, { type: "progress", data: { done: count } });
      if (random.next() < 0.6) {
        sent.set(id, [...(sent.get(id) ?? []), count]);
        await report(id, { type: "note", data: count });
      }
      await sleep(random.integer(0, 15));
      if (count === 75) {
        const { port } = new URL(url);
        await server.kill();
        ({ server, url } = await ServerProcess.start({ dataDir, flags, port: Number(port) }));
      }
    }
    for (const id of ids) {
      await report(id, { type: "complete", data: {} });
    }
    await callHttp(`${url}/api/v1/batches/alt-${tasks}/close`, { method: "POST" });
    await reading;
    console.log(`${client.responses} responses, ${client.cursors.length} milestones`);
    expect(client.notes).toEqual(sent);
    expect(client.endings.toSorted()).toEqual(ids);
    expect(new Set(client.cursors).size).toBe(client.cursors.length);
  },
);
