/**
 * Thousands of watchers of the drain bench, in a process of their own. They do as `@holdfast/client` does, and some are it.
 *
 * A watcher comes back after the `reconnectInMs` of `drain`. Whatever fails after that is a backoff with full jitter of 1 s (the server's `retry:`),
 * from the eleventh time on twice as much each time, at most 30 s, never below `Retry-After`. It asks with its cursor. What it heard is judged at the end:
 * every step of its task once and in order, one ending, and how long it was without a stream.
 */
import { setTimeout as pause } from "node:timers/promises";
import { StableEventSource } from "@holdfast/client";
import { takeOrders } from "./crew.mjs";
import { percentile, round } from "./report.mjs";
import { SseSocket } from "./sse-socket.mjs";

const BASE_MS = 1_000;
const CAP_MS = 30_000;
const ATTEMPTS_AT_BASE = 10;

/**
 * What one of them heard.
 * @typedef {object} Record
 * @property {boolean} real a StableEventSource
 * @property {boolean} connected
 * @property {number[]} steps
 * @property {string[]} endings
 * @property {number | undefined} toldMs
 * @property {number} drains
 * @property {number} brokenOff ends without `drain`
 * @property {number | undefined} goneSinceMs
 * @property {number[]} waitsMs
 * @property {number} failures
 */

/** @type {Record[]} */
const records = [];

takeOrders({
  /** @param {{ url: string, taskIds: readonly string[], count: number, real: number, ratePerSecond: number }} order */
  async open({ url, taskIds, count, real, ratePerSecond }) {
    const startMs = performance.now();
    for (let index = 0; index < count; index += 1) {
      const dueMs = startMs + (index * 1_000) / ratePerSecond;
      if (dueMs > performance.now()) await pause(dueMs - performance.now());
      /** @type {Record} */
      const record = {
        real: index < real,
        connected: false,
        steps: [],
        endings: [],
        toldMs: undefined,
        drains: 0,
        brokenOff: 0,
        goneSinceMs: undefined,
        waitsMs: [],
        failures: 0,
      };
      records.push(record);
      const path = `/api/v1/tasks/${taskIds[index % taskIds.length]}/stream`;
      if (record.real) watchByClient(record, url + path);
      else watchBySocket(record, url, path, undefined, 0);
    }
    const untilMs = performance.now() + 30_000;
    while (records.some(({ connected }) => !connected) && performance.now() < untilMs) await pause(50);
    return records.filter(({ connected }) => connected).length;
  },

  /** Milliseconds that the streams which are away have been so, and how many have come back since the drain. */
  away: () => ({
    drained: records.filter(({ drains }) => drains > 0).length,
    back: records.filter(({ waitsMs }) => waitsMs.length > 0).length,
    away: records.filter(({ goneSinceMs }) => goneSinceMs !== undefined).length,
  }),

  ended: () => records.filter(({ endings }) => endings.length > 0).length,

  /** `steps` of each task. @param {{ steps: readonly number[], windowMs: number }} order */
  judge({ steps, windowMs }) {
    const lostBy = (/** @type {Record} */ record, /** @type {number} */ index) =>
      (steps[index % steps.length] ?? 0) - new Set(record.steps).size;
    const waits = records.flatMap(({ waitsMs }) => waitsMs);
    const told = records.flatMap(({ toldMs }) => toldMs ?? []);
    // How even the times are that clients were told: the fullest tenth beside the mean. The window begins when a restart may be over.
    const soonestMs = Math.min(2_000, windowMs / 2);
    const tenths = Array.from({ length: 10 }, () => 0);
    for (const ms of told) {
      const tenth = Math.max(0, Math.min(9, Math.floor(((ms - soonestMs) / (windowMs - soonestMs)) * 10)));
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    const count = (/** @type {(record: Record) => boolean} */ is) => records.filter(is).length;
    return {
      watchers: records.length,
      realClients: count(({ real }) => real),
      drained: count(({ drains }) => drains === 1),
      drainedTwice: count(({ drains }) => drains > 1),
      brokenOff: records.reduce((sum, { brokenOff }) => sum + brokenOff, 0),
      toldMs: { min: Math.min(...told), p50: percentile(told, 0.5), max: Math.max(...told) },
      fullestTenth: round((Math.max(...tenths) * 10) / told.length, 2),
      failedAttempts: records.reduce((sum, { failures }) => sum + failures, 0),
      waitMs: {
        p50: round(percentile(waits, 0.5), 0),
        p99: round(percentile(waits, 0.99), 0),
        max: round(percentile(waits, 1), 0),
      },
      maxWaitOfRealMs: round(
        Math.max(0, ...records.filter(({ real }) => real).flatMap(({ waitsMs }) => waitsMs)),
        0,
      ),
      neverBack: count(({ goneSinceMs }) => goneSinceMs !== undefined),
      stepsHeard: records.reduce((sum, record) => sum + record.steps.length, 0),
      lost: records.reduce((sum, record, index) => sum + lostBy(record, index), 0),
      repeated: records.reduce((sum, record) => sum + record.steps.length - new Set(record.steps).size, 0),
      reordered: count(({ steps: heard }) => heard.some((step, index) => step < (heard[index - 1] ?? 0))),
      endingsMissing: count(({ endings }) => endings.length === 0),
      endingsRepeated: count(({ endings }) => endings.length > 1),
    };
  },
});

/** @param {Record} record @param {string} event @param {string} data */
function hear(record, event, data) {
  switch (event) {
    case "connected":
      record.connected = true;
      if (record.goneSinceMs !== undefined) record.waitsMs.push(performance.now() - record.goneSinceMs);
      record.goneSinceMs = undefined;
      break;
    case "drain":
      record.drains += 1;
      record.toldMs = JSON.parse(data).reconnectInMs;
      record.goneSinceMs ??= performance.now();
      break;
    case "step":
      record.steps.push(JSON.parse(data).data);
      break;
    case "complete":
      record.endings.push(event);
      break;
    default:
  }
}

/** @param {Record} record @param {string} url @param {string} path @param {string | undefined} lastEventId @param {number} failures in a row */
function watchBySocket(record, url, path, lastEventId, failures) {
  let heard = false;
  /** @type {number | undefined} */
  let reconnectInMs;
  const socket = new SseSocket({
    url,
    path,
    ...(lastEventId !== undefined && { lastEventId }),
    onFrame: ({ event, data }) => {
      heard = true;
      hear(record, event, data);
      if (event === "drain") reconnectInMs = record.toldMs;
    },
    onEnd: (end) => {
      if (record.endings.length > 0 || (end.kind === "refused" && end.status === 204)) return;
      record.goneSinceMs ??= performance.now();
      const again = (/** @type {number} */ delayMs, /** @type {number} */ failed) =>
        void setTimeout(() => watchBySocket(record, url, path, socket.lastEventId, failed), delayMs);
      if (reconnectInMs !== undefined) {
        again(reconnectInMs, 0);
        return;
      }
      if (heard) record.brokenOff += 1;
      else record.failures += 1;
      const failed = heard ? 1 : failures + 1;
      const ceilingMs = Math.min(CAP_MS, BASE_MS * 2 ** Math.max(0, failed - 1 - ATTEMPTS_AT_BASE));
      const floorMs = end.kind === "refused" ? end.retryAfterSeconds * 1_000 : 0;
      const topMs = floorMs === 0 ? ceilingMs : Math.max(ceilingMs, floorMs + BASE_MS);
      again(floorMs + Math.random() * (topMs - floorMs), failed);
    },
  });
}

/** @param {Record} record @param {string} url */
function watchByClient(record, url) {
  const source = new StableEventSource(url);
  for (const event of ["connected", "drain", "step", "complete"])
    source.addEventListener(event, (message) => {
      if ("data" in message) hear(record, event, message.data);
    });
  source.addEventListener("error", () => {
    if (record.endings.length > 0) return; // 204 after it
    record.goneSinceMs ??= performance.now();
    record.failures += 1;
  });
}
