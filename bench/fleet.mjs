/**
 * A process that holds thousands of streams, so that whoever reads does not slow whoever writes. Told over IPC what to do.
 *
 * Orders are calls by name (`FLEET`) answered with a JSON value; see crew-handle.mjs for the caller's side.
 * Ticks are custom events `tick {n, sentAtMs}` by which the spread of one event over all streams is measured; a stalled reader takes
 * no part. Times of both processes are of one machine's clock.
 */
import { setTimeout as pause } from "node:timers/promises";
import { takeOrders } from "./crew.mjs";
import { percentile, round } from "./report.mjs";
import { SseSocket } from "./sse-socket.mjs";

/** @typedef {{ socket: SseSocket, connected: boolean, beatsMs: number[], writtenMs: number[], lost: number }} Stream */

/** @type {Stream[]} */
let streams = [];
/** @type {Map<number, number[]>} tick → milliseconds to each stream */
const ticks = new Map();
/** @type {SseSocket | undefined} */
let stalled;
let failures = 0;
let closing = false;

/** @type {Record<string, (order: any) => unknown>} */
const FLEET = {
  /** @param {{ url: string, paths: readonly string[], count: number, ratePerSecond: number, localAddresses: readonly string[] }} order */
  async open({ url, paths, count, ratePerSecond, localAddresses }) {
    const startMs = performance.now();
    /** @type {number[]} */
    const connectMs = [];
    for (let index = 0; index < count; index += 1) {
      const dueMs = startMs + (index * 1_000) / ratePerSecond;
      if (dueMs > performance.now()) await pause(dueMs - performance.now());
      streams.push(
        openStream(
          url,
          paths[index % paths.length] ?? "",
          localAddresses[index % localAddresses.length] ?? "",
          connectMs,
        ),
      );
    }
    const untilMs = performance.now() + 15_000;
    while (connectMs.length + failures < count && performance.now() < untilMs) await pause(50);
    return { connected: connectMs.length, failures, p99Ms: round(percentile(connectMs, 0.99), 1) };
  },

  /** Opens one more and stops reading right after `connected`. @param {{ url: string, path: string }} order */
  async stall({ url, path }) {
    await new Promise((resolve) => {
      stalled = new SseSocket({
        url,
        path,
        onFrame: () => {
          stalled?.pause();
          resolve(undefined);
        },
        onEnd: resolve,
      });
    });
  },

  release() {
    stalled?.close();
    stalled = undefined;
  },

  /** Milliseconds from `sentAtMs` to each stream. @param {{ n: number, withinMs: number }} order */
  async tick({ n, withinMs }) {
    const untilMs = performance.now() + withinMs;
    while ((ticks.get(n)?.length ?? 0) < streams.length && performance.now() < untilMs) await pause(10);
    const took = ticks.get(n) ?? [];
    ticks.delete(n);
    return { got: took.length, p50: percentile(took, 0.5), p99: percentile(took, 0.99) };
  },

  forgetBeats() {
    for (const stream of streams) {
      stream.beatsMs = [];
      stream.writtenMs = [];
    }
  },

  /** @param {{ intervalMs: number }} order */
  beats({ intervalMs }) {
    const late = streams.flatMap(({ beatsMs }) => latenessOf(beatsMs, intervalMs));
    const written = streams.flatMap(({ writtenMs }) => latenessOf(writtenMs, intervalMs));
    // How evenly beats fall into the interval: the fullest tenth of it beside the mean; 1 is perfectly even.
    const tenths = Array.from({ length: 10 }, () => 0);
    for (const { beatsMs } of streams) {
      const tenth = Math.floor((((beatsMs[0] ?? 0) % intervalMs) / intervalMs) * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    return {
      streamsWithThree: streams.filter(({ beatsMs }) => beatsMs.length >= 3).length,
      beats: late.length,
      lateMs: spread(late),
      writtenLateMs: spread(written),
      fullestTenth: round((Math.max(...tenths) * 10) / streams.length, 2),
      lost: streams.filter(({ lost }) => lost > 0).length,
    };
  },

  closeAll() {
    closing = true;
    for (const { socket } of streams) socket.close();
    streams = [];
    closing = false;
  },
};

/** @param {string} url @param {string} path @param {string} localAddress @param {number[]} connectMs @returns {Stream} */
function openStream(url, path, localAddress, connectMs) {
  const startMs = performance.now();
  const socket = new SseSocket({
    url,
    path,
    ...(localAddress !== "" && { localAddress }),
    onFrame: ({ event, data }, atMs) => {
      if (event === "connected") {
        connectMs.push(atMs - startMs);
        stream.connected = true;
      } else if (event === "heartbeat") {
        stream.beatsMs.push(atMs);
        stream.writtenMs.push(Number(/"timestampMs":(\d+)/.exec(data)?.[1]));
      } else if (event === "tick") {
        const { n, sentAtMs } = JSON.parse(data).data;
        const took = ticks.get(n);
        const tookMs = performance.timeOrigin + atMs - sentAtMs;
        if (took === undefined) ticks.set(n, [tookMs]);
        else took.push(tookMs);
      }
    },
    onEnd: () => {
      if (closing) return;
      stream.lost += 1;
      if (!stream.connected) failures += 1;
    },
  });
  /** @type {Stream} */
  const stream = { socket, connected: false, beatsMs: [], writtenMs: [], lost: 0 };
  return stream;
}

/** The schedule is the server's own; it is taken from the stream's earliest beat. @param {readonly number[]} atMs @param {number} intervalMs */
function latenessOf(atMs, intervalMs) {
  if (atMs.length < 3) return [];
  const phases = atMs.map((at, beat) => at - beat * intervalMs);
  const earliest = Math.min(...phases);
  return phases.map((phase) => phase - earliest);
}

/** @param {readonly number[]} values */
function spread(values) {
  const [p50, p99, p999] = [0.5, 0.99, 0.999].map((share) => round(percentile(values, share), 1));
  return { p50, p99, p999, max: round(percentile(values, 1), 1) };
}

takeOrders(FLEET);
