/**
 * First load script: many streams on real sockets, from this process, against a server in another.
 *
 *   npm run load [-- --streams 1000 --seconds 60 --heartbeat 10 --rate 200 --url http://host:port --short]
 *
 * Asked for: every connect succeeds, connect p99 < 100 ms, heartbeat lateness p99 < 50 ms; anything worse exits with 1.
 *
 * Method. Streams are opened at `--rate` a second, each on a socket of its own, spread over 100 tasks whose producers report
 * meanwhile. Connect: from opening the socket to the arrival of `connected`. Lateness: the server beats on a fixed schedule of each
 * stream, which the client does not know; it is taken from the stream's own earliest beat (arrival − k × interval, least over
 * its beats), so a stream needs three beats or more. What is late always and alike would escape that: hence also
 * the delivery, from the time written in a heartbeat to its arrival, on the one clock of a machine (with --url elsewhere: of two).
 * The short form, which runs in `npm test` on machines that do much else at once, judges times by their median: of the slowest in a hundred such a
 * machine decides.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { percentile, round, writeResult } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";

const { values: options } = parseArgs({
  options: {
    streams: { type: "string", default: "1000" },
    seconds: { type: "string" },
    heartbeat: { type: "string" },
    rate: { type: "string", default: "200" },
    url: { type: "string" },
    short: { type: "boolean", default: false },
  },
});
const streams = Number(options.streams);
const heartbeatSeconds = Number(options.heartbeat ?? (options.short ? 1 : 10));
const seconds = Number(options.seconds ?? (options.short ? 8 : 60));
const rate = Number(options.rate);
const TASKS = Math.min(100, streams);
const THRESHOLDS = { connectSuccess: 1, connectP99Ms: 100, latenessP99Ms: 50 };

/**
 * @typedef {object} Stream
 * @property {number | undefined} connectMs
 * @property {string | undefined} failure
 * @property {number[]} beatsMs arrivals, of performance.now()
 * @property {number[]} deliveriesMs
 * @property {() => void} close
 */

const dataDir = mkdtempSync(join(tmpdir(), "holdfast-load-"));
const server =
  options.url === undefined ? await startHoldfast(dataDir, [`--heartbeat=${heartbeatSeconds}s`]) : undefined;
const url = (options.url ?? server?.url ?? "").replace(/\/$/, "");
try {
  process.exitCode = await run();
} finally {
  await server?.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function run() {
  const taskIds = await Promise.all(Array.from({ length: TASKS }, createTask));
  console.log(
    `${streams} streams at ${rate}/s over ${TASKS} tasks, heartbeat ${heartbeatSeconds} s, ${seconds} s, ${url}`,
  );
  /** @type {Stream[]} */
  const opened = [];
  const startMs = performance.now();
  for (let index = 0; index < streams; index += 1) {
    const dueMs = startMs + (index * 1_000) / rate;
    if (dueMs > performance.now()) await pause(dueMs - performance.now());
    opened.push(openStream(taskIds[index % TASKS] ?? ""));
  }
  const untilMs = performance.now() + seconds * 1_000;
  for (let step = 1; performance.now() < untilMs; step += 1) {
    await report(taskIds[step % TASKS] ?? "", step);
    await pause(20);
  }
  for (const stream of opened) stream.close();
  return judge(opened);
}

/** @param {readonly Stream[]} opened */
function judge(opened) {
  const connects = opened.flatMap(({ connectMs }) => connectMs ?? []);
  const lateness = opened.flatMap(({ beatsMs }) => latenessOf(beatsMs));
  const deliveries = opened.flatMap(({ deliveriesMs }) => deliveriesMs);
  const failures = opened.filter(({ failure }) => failure !== undefined);
  const held = opened.filter(
    ({ connectMs, failure }) => connectMs !== undefined && failure === undefined,
  ).length;
  const figures = {
    streams,
    ratePerSecond: rate,
    heartbeatSeconds,
    seconds,
    connectSuccess: held / streams,
    connectMs: spread(connects),
    heartbeats: deliveries.length,
    latenessMs: spread(lateness),
    deliveryMs: spread(deliveries),
    thresholds: THRESHOLDS,
  };
  const judged = options.short ? "p50" : "p99";
  const checks = [
    ["connect success", `${round(figures.connectSuccess * 100, 2)} %`, "100 %", held === streams],
    [
      `connect ${judged}`,
      `${figures.connectMs[judged]} ms`,
      "< 100 ms",
      figures.connectMs[judged] < THRESHOLDS.connectP99Ms,
    ],
    [
      `heartbeat lateness ${judged}`,
      `${figures.latenessMs[judged]} ms`,
      "< 50 ms",
      figures.latenessMs[judged] < THRESHOLDS.latenessP99Ms,
    ],
    [
      `heartbeat delivery ${judged}`,
      `${figures.deliveryMs[judged]} ms`,
      "< 50 ms",
      figures.deliveryMs[judged] < THRESHOLDS.latenessP99Ms,
    ],
    [
      "streams with 3 beats",
      `${opened.filter(({ beatsMs }) => beatsMs.length >= 3).length}`,
      `${streams}`,
      lateness.length > 0 && opened.every(({ beatsMs }) => beatsMs.length >= 3),
    ],
  ];
  console.log(`\n${"".padEnd(26)}${"measured".padStart(14)}${"asked".padStart(12)}`);
  for (const [name, got, asked, ok] of checks)
    console.log(
      `${String(name).padEnd(26)}${String(got).padStart(14)}${String(asked).padStart(12)}  ${ok === true ? "ok" : "FAILED"}`,
    );
  console.log(`\nconnect ms   ${JSON.stringify(figures.connectMs)}`);
  console.log(`lateness ms  ${JSON.stringify(figures.latenessMs)}`);
  console.log(`delivery ms  ${JSON.stringify(figures.deliveryMs)}  (${deliveries.length} heartbeats)`);
  for (const { failure } of failures.slice(0, 5)) console.log(`failed: ${failure}`);
  const good = checks.every(([, , , ok]) => ok === true);
  if (!options.short && options.url === undefined)
    console.log(`\n${writeResult("load", { ...figures, passed: good })}`);
  return good ? 0 : 1;
}

/** @param {readonly number[]} beatsMs */
function latenessOf(beatsMs) {
  if (beatsMs.length < 3) return [];
  const phases = beatsMs.map((atMs, beat) => atMs - beat * heartbeatSeconds * 1_000);
  const earliest = Math.min(...phases);
  return phases.map((phase) => phase - earliest);
}

/** @param {readonly number[]} values */
function spread(values) {
  return {
    p50: round(percentile(values, 0.5), 1),
    p99: round(percentile(values, 0.99), 1),
    max: round(
      values.reduce((most, value) => Math.max(most, value), 0),
      1,
    ),
  };
}

/** @param {string} taskId @returns {Stream} */
function openStream(taskId) {
  const startMs = performance.now();
  const request = get(`${url}/api/v1/tasks/${taskId}/stream`, {
    agent: false,
    headers: { Accept: "text/event-stream" },
  });
  let closed = false;
  /** @type {Stream} */
  const stream = {
    connectMs: undefined,
    failure: undefined,
    beatsMs: [],
    deliveriesMs: [],
    close: () => {
      closed = true;
      request.destroy();
    },
  };
  const fail = (/** @type {string} */ failure) => {
    if (!closed) stream.failure ??= failure;
  };
  request.on("error", (error) => fail(error.message));
  request.on("response", (response) => {
    if (response.statusCode !== 200) fail(`status ${response.statusCode}`);
    let rest = "";
    response.on("error", (error) => fail(error.message));
    response.on("close", () => fail("the stream ended"));
    response.on("data", (/** @type {Buffer} */ chunk) => {
      const atMs = performance.now();
      const frames = (rest + chunk.toString()).split("\n\n");
      rest = frames.pop() ?? "";
      for (const frame of frames) {
        if (frame.includes("event: connected")) stream.connectMs ??= atMs - startMs;
        const beat = /event: heartbeat[^]*"timestampMs":(\d+)/.exec(frame);
        if (beat === null) continue;
        stream.beatsMs.push(atMs);
        stream.deliveriesMs.push(Math.max(0, performance.timeOrigin + atMs - Number(beat[1])));
      }
    });
  });
  return stream;
}

/** @param {unknown} _ @param {number} index */
async function createTask(_, index) {
  const id = `load-${process.pid}-${index}`;
  await post("/tasks", { id, total: 1_000_000 });
  return id;
}

/** @param {string} id @param {number} done */
async function report(id, done) {
  await post(`/tasks/${id}/events`, { type: "progress", data: { done } });
}

/** @param {string} path @param {object} body */
async function post(path, body) {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}
