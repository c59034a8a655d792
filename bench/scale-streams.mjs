/**
 * Ten thousand streams: heartbeats on time, and what one stalled reader does to the others.
 *
 * Heartbeats. Streams are opened over 100 tasks from several loopback addresses. The schedule of a stream is the server's own: lateness is taken
 * from the earliest of its beats, once by the time of arrival and once by the time written in the beat, which leaves the reader's process out.
 *
 * The stalled reader. All streams get the same event (a tick, one report on each of the tasks); its delivery is the time from sending
 * the report to arrival. Repetitions take turns, with nobody stalled and with one reader that has stopped; which comes first turns too.
 * It counts as stalled when the kernel's buffers are full and the server's queue for it is not empty, by `/metrics`. A repetition is the
 * p99 over all streams of one tick, the figure the ratio of the medians. The stalled reader watches the ticks, too: they wait in its queue.
 * The short form compares the fastest quarter of each instead, which others on the machine disturb least.
 */
import { setTimeout as pause } from "node:timers/promises";
import { comesTrue, post, readMetrics, report } from "./api.mjs";
import { startCrew } from "./crew-handle.mjs";
import { percentile, round } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";

// Each loopback address has 28,000 ports of its own.
const ADDRESSES = ["127.0.0.2", "127.0.0.3"];
const FILL_BYTES = 16_384;

/** @param {import("./scale.mjs").PartInput} input @returns {Promise<import("./scale.mjs").PartResult>} */
export async function runStreams({ dataDir, short, connections }) {
  const heartbeatMs = short ? 2_000 : 10_000;
  const server = await startHoldfast(dataDir, [`--heartbeat=${heartbeatMs}ms`]);
  const fleet = startCrew(new URL("fleet.mjs", import.meta.url));
  try {
    const { url } = server;
    await post(url, "/tasks", { id: "all" });
    await post(url, "/tasks", { id: "fill" });
    const opened = await fleet.call("open", {
      url,
      paths: ["/api/v1/tasks/all/stream"],
      count: connections,
      ratePerSecond: short ? 800 : 500,
      localAddresses: process.platform === "linux" ? ADDRESSES : [""],
    });
    const rss = (await readMetrics(url)).get("process_resident_memory_bytes") ?? 0;
    await pause(1_000);
    await fleet.call("forgetBeats");
    await pause(heartbeatMs * (short ? 4 : 6) + 500);
    const beats = await fleet.call("beats", { intervalMs: heartbeatMs });
    const stalled = await measureStalled(url, fleet, short ? 5 : 15, connections, short ? 0.25 : 0.5);
    const closed = await fleet.call("beats", { intervalMs: heartbeatMs });
    await fleet.call("closeAll");
    const freed = await comesTrue(
      async () => (await readMetrics(url)).get("holdfast_stream_timers") === 0,
      15_000,
    );
    const rssPerStream = Math.round((rss - 90_000_000) / connections);
    return {
      figures: { heartbeatMs, opened, beats, stalled, rssMib: round(rss / 1_048_576, 0), rssPerStream },
      checks: [
        ["streams open", opened.connected, connections, opened.connected === connections],
        [
          "streams with three heartbeats",
          beats.streamsWithThree,
          connections,
          beats.streamsWithThree === connections,
        ],
        short
          ? [
              "heartbeat lateness p50, as written",
              `${beats.writtenLateMs.p50} ms`,
              "≤ 50 ms",
              beats.writtenLateMs.p50 <= 50,
            ]
          : ["heartbeat lateness p99.9", `${beats.lateMs.p999} ms`, "≤ 50 ms", beats.lateMs.p999 <= 50],
        [
          "fullest tenth of the interval",
          `× ${beats.fullestTenth}`,
          `≤ × ${short ? 2.5 : 1.5}`,
          beats.fullestTenth <= (short ? 2.5 : 1.5),
        ],
        [
          "one stalled reader, delivery p99",
          `× ${stalled.ratio}`,
          `≤ × ${short ? 2 : 1.1}`,
          stalled.ratio <= (short ? 2 : 1.1),
        ],
        ["ticks missed by others", stalled.missed, 0, stalled.missed === 0],
        [
          "it was stalled each time",
          stalled.timesStalled,
          stalled.repetitions,
          stalled.timesStalled === stalled.repetitions,
        ],
        ["streams lost on the way", closed.lost, 0, closed.lost === 0],
        ["all freed after they left", String(freed), "true", freed],
      ],
    };
  } finally {
    await fleet.kill();
    await server.stop();
  }
}

/** @param {string} url @param {import("./crew-handle.mjs").CrewHandle} fleet @param {number} repetitions @param {number} connections @param {number} share of the ticks that is compared */
async function measureStalled(url, fleet, repetitions, connections, share) {
  /** @type {{ without: number[], with: number[] }} */
  const p99 = { without: [], with: [] };
  let n = 0;
  let missed = 0;
  let timesStalled = 0;
  const tick = async () => {
    n += 1;
    const sentAtMs = performance.timeOrigin + performance.now();
    await report(url, "all", [{ type: "tick", data: { n, sentAtMs } }]);
    const { got, p99: took } = await fleet.call("tick", { n, withinMs: 10_000 });
    missed += connections - got;
    await pause(100);
    return took;
  };
  /** @type {Record<"without" | "with", () => Promise<void>>} */
  const ways = {
    without: async () => {
      for (let repeat = 0; repeat < 4; repeat += 1) p99.without.push(await tick());
    },
    with: async () => {
      await fleet.call("stall", { url, path: "/api/v1/stream?task=all&task=fill" });
      if (await fillUp(url)) timesStalled += 1;
      for (let repeat = 0; repeat < 4; repeat += 1) p99.with.push(await tick());
      await fleet.call("release");
      await pause(200);
    },
  };
  for (let warm = 0; warm < 4; warm += 1) await tick();
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    /** @type {("without" | "with")[]} */
    const order = repetition % 2 === 0 ? ["without", "with"] : ["with", "without"];
    for (const way of order) await ways[way]();
  }
  const [without, stalled] = [percentile(p99.without, share), percentile(p99.with, share)];
  return {
    repetitions,
    ticks: n,
    withoutMs: round(without, 1),
    withMs: round(stalled, 1),
    ratio: round(stalled / without, 3),
    ratiosByRepetition: p99.with
      .map((took, index) => round(took / (p99.without[index] ?? Number.NaN), 2))
      .toSorted((a, b) => a - b),
    missed,
    timesStalled,
  };
}

/** What the kernel took of the first that stalled; the next gets most of it without a look, since a look walks over all streams. */
let kernelBytes = 0;

/** Milestones of a task that only the stalled reader watches, until the kernel takes no more. @param {string} url */
async function fillUp(url) {
  const event = { type: "fill", data: "x".repeat(FILL_BYTES) };
  const queued = async () => ((await readMetrics(url)).get("holdfast_stream_queued_bytes") ?? 0) > 0;
  for (let sent = 0; sent < 64 * 1_048_576; sent += FILL_BYTES) {
    await report(url, "fill", [event]);
    if (sent < kernelBytes * 0.8 || !(await queued())) continue;
    await pause(100);
    if (!(await queued())) continue;
    kernelBytes = sent;
    return true;
  }
  return false;
}
