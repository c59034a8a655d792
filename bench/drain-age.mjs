/** Streams opened at nearly the same time must not end of age at the same time: how old each was at its `drain`. */
import { setTimeout as pause } from "node:timers/promises";
import { comesTrue, post } from "./api.mjs";
import { percentile, round } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";
import { SseSocket } from "./sse-socket.mjs";

const STREAMS = 400;
const MAX_AGE_MS = 8_000;
// What each draws of its age is up to a tenth.
const YOUNGEST_MS = MAX_AGE_MS * 0.9;

/** @param {string} dataDir @param {number} lateMs allowed beyond the age @returns {Promise<{ figures: object, checks: import("./report.mjs").Check[] }>} */
export async function measureAge(dataDir, lateMs) {
  const server = await startHoldfast(dataDir, ["--heartbeat=1s", `--max-stream-age=${MAX_AGE_MS}ms`]);
  try {
    await post(server.url, "/tasks", { id: "old" });
    /** @type {number[]} */
    const agesMs = [];
    let clean = 0;
    for (let index = 0; index < STREAMS; index += 1) {
      let openedMs = 0;
      let drained = false;
      // oxlint-disable-next-line no-new -- lives by its callbacks
      new SseSocket({
        url: server.url,
        path: "/api/v1/tasks/old/stream",
        onFrame: ({ event }, atMs) => {
          if (event === "connected") openedMs = atMs;
          if (event !== "drain") return;
          drained = true;
          agesMs.push(atMs - openedMs);
        },
        onEnd: ({ kind }) => {
          if (kind === "ended" && drained) clean += 1;
        },
      });
      await pause(2);
    }
    await comesTrue(() => clean === STREAMS, MAX_AGE_MS + 10_000);
    const tenths = Array.from({ length: 10 }, () => 0);
    for (const ms of agesMs) {
      const tenth = Math.floor(((ms - YOUNGEST_MS) / (MAX_AGE_MS - YOUNGEST_MS)) * 10);
      const index = Math.min(9, Math.max(0, tenth));
      tenths[index] = (tenths[index] ?? 0) + 1;
    }
    const [youngest, oldest] = [Math.min(...agesMs), Math.max(...agesMs)];
    const fullest = round((Math.max(...tenths) * 10) / STREAMS, 2);
    return {
      figures: {
        streams: STREAMS,
        maxAgeMs: MAX_AGE_MS,
        agesMs: { min: round(youngest, 0), p50: round(percentile(agesMs, 0.5), 0), max: round(oldest, 0) },
        fullestTenth: fullest,
      },
      checks: [
        ["ended of age with drain, cleanly", clean, STREAMS, clean === STREAMS],
        [
          "… at ages from, to",
          `${round(youngest, 0)}–${round(oldest, 0)} ms`,
          `${YOUNGEST_MS}–${MAX_AGE_MS + lateMs}`,
          youngest >= YOUNGEST_MS - 50 && oldest <= MAX_AGE_MS + lateMs,
        ],
        ["… fullest tenth of that range", `× ${fullest}`, "≤ × 3", fullest <= 3],
      ],
    };
  } finally {
    await server.stop();
  }
}
