/**
 * One large file through each of the ways in: what lands is what was sent, the server's memory does not grow with it, and
 * whoever watches is told at least twice a second while bytes move.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, writeSync } from "node:fs";
import { get } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ElementHandle } from "puppeteer-core";
import { openBrowser } from "../harness/browser.js";
import { runCommand } from "../harness/command-run.js";
import { EventReader, type Frame } from "../harness/event-reader.js";
import { callJson } from "../harness/http-call.js";
import { reportResult, SEED, WHOLE } from "../harness/run-form.js";
import { randomBytesOf } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { sendByTusClient } from "../harness/tus-sender.js";

const MIB = 1_048_576;
const BYTES = (WHOLE ? 1_024 : 256) * MIB;
const MAX_RSS_GROWTH_KIB = 64 * 1_024;
const MAX_SILENCE_MS = 500;
const SAMPLE_MS = 50;
// Four seconds in the whole form and two in the short: long enough for progress to be due many times.
const CURL_RATE = WHOLE ? "256M" : "128M";

interface Way {
  readonly name: string;
  /** Sends the file to the upload, which exists unless the way makes it. */
  readonly send: (id: string, path: string) => Promise<void>;
  readonly createsItself: boolean;
}

interface Measured {
  readonly seconds: number;
  readonly progressEvents: number;
  readonly longestSilenceMs: number;
  readonly rssGrowthKib: number;
}

const { dataDir, remove } = makeDataDir();
const path = join(dataDir, "source.bin");
let server: ServerProcess;
let url: string;
let sourceHash: string;
/** Of the server that has just started: what it grows by is what an upload costs whoever starts small. */
let baselineKib: number;
const figures: { [way: string]: Measured } = {};

beforeAll(async () => {
  sourceHash = writeSource(path, BYTES);
  ({ server, url } = await ServerProcess.start({
    dataDir: join(dataDir, "server"),
    flags: ["--log-level=error", "--min-free-disk=0B"],
  }));
  baselineKib = server.rssKib;
});

afterAll(async () => {
  await server.kill();
  remove();
  reportResult("big", { bytes: BYTES, ways: figures });
});

const WAYS: readonly Way[] = [
  {
    name: "tus-js-client in one PATCH",
    createsItself: true,
    send: async (id, file) => await sendTus(id, file, Number.POSITIVE_INFINITY),
  },
  {
    name: "tus-js-client in 16 MiB chunks",
    createsItself: true,
    send: async (id, file) => await sendTus(id, file, 16 * MIB),
  },
  {
    name: "curl -T",
    createsItself: false,
    send: async (id, file) => await curl("-T", file, `${url}/api/v1/uploads/${id}/content`),
  },
  {
    name: "curl -F",
    createsItself: false,
    send: async (id, file) =>
      await curl("-H", `Upload-Task-Id: ${id}`, "-F", `file=@${file}`, `${url}/api/v1/uploads`),
  },
];

for (const [index, way] of WAYS.entries()) {
  test(`${BYTES / MIB} MiB by ${way.name}: the same bytes, bounded memory, progress twice a second, one ending`, async () => {
    const { longestSilenceMs } = await measure(way.name, async () => {
      const id = `big-${index}`;
      return { id, reader: await send(way, id, path) };
    });
    expect(longestSilenceMs).toBeLessThanOrEqual(MAX_SILENCE_MS);
  });
}

test(`${BYTES / MIB} MiB through the page in Chromium: likewise`, async () => {
  const chromium = await openBrowser("chromium");
  try {
    const page = await chromium.browser.newPage();
    await page.goto(url);
    const input = await page.waitForSelector("[data-testid=file-input]");
    const { longestSilenceMs } = await measure("the page in Chromium", async () => {
      await (input as ElementHandle<HTMLInputElement>).uploadFile(path);
      const id = await firstUpload();
      const reader = await watchSoon(id);
      expect(await reader.ended).toEqual({ kind: "ended" });
      return { id, reader };
    });
    expect(longestSilenceMs).toBeLessThanOrEqual(MAX_SILENCE_MS);
    await page.waitForSelector("[data-testid=row][data-status=completed]", { timeout: 10_000 });
  } finally {
    await chromium.close();
  }
});

/** Runs it, judges what came and what was told, and keeps the figures. */
async function measure(
  name: string,
  run: () => Promise<{ readonly id: string; readonly reader: EventReader }>,
): Promise<Measured> {
  let highestKib = baselineKib;
  const sampler = setInterval(() => {
    highestKib = Math.max(highestKib, server.rssKib);
  }, SAMPLE_MS);
  const startedMs = performance.now();
  const { id, reader } = await run();
  clearInterval(sampler);

  const moving = whileMoving(reader.frames);
  const measured = {
    seconds: Math.round(performance.now() - startedMs) / 1_000,
    progressEvents: reader.named("progress").length,
    longestSilenceMs: Math.round(longestSilence(moving)),
    rssGrowthKib: highestKib - baselineKib,
  };
  figures[name] = measured;
  expect(await hashOf(`${url}/api/v1/uploads/${id}/content`)).toBe(sourceHash);
  const stored = reader.named("progress").map(({ data }) => Number(data["uploaded"]));
  expect(stored).toEqual(stored.toSorted((a, b) => a - b));
  expect(stored.at(-1)).toBeLessThanOrEqual(BYTES);
  expect(
    reader.frames.map(({ event }) => event).filter((event) => /complete|failed|cancelled/.test(event)),
  ).toEqual(["complete"]);
  expect(measured.rssGrowthKib).toBeLessThan(MAX_RSS_GROWTH_KIB);
  await callJson(`${url}/api/v1/uploads/${id}`, { method: "DELETE" });
  return measured;
}

/** The id of the upload that the page has made. */
async function firstUpload(): Promise<string> {
  for (;;) {
    const { items } = (await (await fetch(`${url}/api/v1/uploads?status=uploading`)).json()) as {
      readonly items: readonly { readonly id: string }[];
    };
    const [first] = items;
    if (first !== undefined) return first.id;
  }
}

/** Sends while somebody watches; returns what was heard, once the stream has ended. */
async function send({ createsItself, send: sendFile }: Way, id: string, file: string): Promise<EventReader> {
  if (createsItself) {
    // Its task is made by the client, so the watcher comes as soon as there is something to watch.
    const sent = sendFile(id, file);
    const reader = await watchSoon(id);
    await sent;
    expect(await reader.ended).toEqual({ kind: "ended" });
    return reader;
  }
  await callJson(`${url}/api/v1/uploads`, { json: { id, filename: "big.bin" } });
  const reader = new EventReader(`${url}/api/v1/uploads/${id}/stream`);
  await reader.first("connected");
  await sendFile(id, file);
  expect(await reader.ended).toEqual({ kind: "ended" });
  return reader;
}

async function watchSoon(id: string): Promise<EventReader> {
  for (;;) {
    const reader = new EventReader(`${url}/api/v1/uploads/${id}/stream`);
    const begun = await Promise.race([reader.first("connected"), reader.ended]);
    if ("event" in begun) return reader;
  }
}

async function sendTus(id: string, file: string, chunkBytes: number): Promise<void> {
  const metadata = { filename: "big.bin", taskId: id };
  await sendByTusClient({ endpoint: `${url}/api/v1/uploads`, path: file, metadata, chunkBytes });
}

async function curl(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runCommand(
    "curl",
    ["-sS", "--fail-with-body", "--limit-rate", CURL_RATE, ...args],
    {
      maxMs: 120_000,
    },
  );
  expect(stderr).toBe("");
  expect(code).toBe(0);
}

/** From the first stored byte to the ending. */
function whileMoving(frames: readonly Frame[]): readonly Frame[] {
  const told = frames.filter(({ event }) => event === "progress" || event === "complete");
  const first = told.findIndex(({ data }) => Number(data["uploaded"]) > 0);
  return told.slice(first);
}

function longestSilence(frames: readonly Frame[]): number {
  return frames.reduce(
    (longest, { atMs }, index) => Math.max(longest, atMs - (frames[index - 1]?.atMs ?? atMs)),
    0,
  );
}

function writeSource(file: string, length: number): string {
  const hash = createHash("sha256");
  const descriptor = openSync(file, "w");
  for (let at = 0; at < length; at += 8 * MIB) {
    const block = randomBytesOf(SEED + at, 8 * MIB);
    hash.update(block);
    writeSync(descriptor, block);
  }
  closeSync(descriptor);
  return hash.digest("hex");
}

async function hashOf(address: string): Promise<string> {
  const hash = createHash("sha256");
  await new Promise<void>((resolve, reject) => {
    get(address, (response) => {
      response.on("data", (chunk: Buffer) => void hash.update(chunk));
      response.on("end", resolve);
      response.on("error", reject);
    }).on("error", reject);
  });
  return hash.digest("hex");
}
