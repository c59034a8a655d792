/**
 * Soak: a server under churn for a long time must stay as it was: memory, handles and timers flat, nothing lost.
 *
 *   npm run soak [-- --minutes 10 --lanes 24 --short]
 *
 * The churn (churn.mjs) is the same all the time: clients connect, poll, leave by FIN, by RST, stop reading, resume; tasks are made, reported on, ended,
 * failed, cancelled; files are uploaded in parts, read back, removed. Streams live at most 20 s and ended tasks are kept for 15 s, so that
 * both ends of their lives fall into every quarter.
 *
 * Method. Warm-up: the first quarter of the time, at least a minute (20 s in the short form), is not judged: caches fill, code is optimised. The rest is cut into four
 * quarters and the medians of the last and the first compared: growth = (last − first) ÷ first. Heap is what is left after a
 * forced collection, in the server's process (soak-probe.mjs); everything else is `/metrics`. Asked for: heap and RSS not above 5 % (in the short form
 * 15 %, since 35 s are too short for a slope and only catch a gross leak) or 6 MiB (RSS 16 MiB, which the allocator moves by itself); handles, timers,
 * channels and tasks in memory not above 10 % or 10 (short form: 40); nothing lost, repeated or missing. The growth an hour is printed, by the slope of
 * the medians, not asked for. When the churn has gone, streams, timers and channels must be back at 0.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { comesTrue, readMetrics } from "./api.mjs";
import { startCrew } from "./crew-handle.mjs";
import { judge, median, round, writeResult } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";

const MIB = 1_048_576;
const { values: options } = parseArgs({
  options: {
    minutes: { type: "string" },
    lanes: { type: "string", default: "24" },
    short: { type: "boolean", default: false },
  },
});
const { short } = options;
const seconds = Number(options.minutes ?? (short ? 0.9 : 10)) * 60;
const warmUpSeconds = Math.min(seconds / 2, Math.max(short ? 20 : 60, seconds / 4));
const share = short ? 0.15 : 0.05;
// Lanes drift against each other by a few tasks; what leaks with each of the thousands of connections is more than that.
const count = short ? 40 : 10;

/**
 * What is judged: name, unit of the figures, growth allowed as a share of the first quarter or as an amount, whichever is more.
 * @type {readonly { name: string, read: (sample: Sample) => number, share: number, amount: number, unit: string, per: number }[]}
 */
const SERIES = [
  {
    name: "heap after collection",
    read: ({ heapUsed }) => heapUsed,
    share,
    amount: 6 * MIB,
    unit: "MiB",
    per: MIB,
  },
  {
    name: "external memory",
    read: ({ external }) => external,
    share,
    amount: 6 * MIB,
    unit: "MiB",
    per: MIB,
  },
  {
    name: "RSS",
    read: metric("process_resident_memory_bytes"),
    share,
    amount: 16 * MIB,
    unit: "MiB",
    per: MIB,
  },
  {
    name: "handles",
    read: metric("nodejs_active_handles_total"),
    share: 0.1,
    amount: count,
    unit: "",
    per: 1,
  },
  { name: "open files", read: metric("process_open_fds"), share: 0.1, amount: count, unit: "", per: 1 },
  { name: "Node's timers", read: ({ timeouts }) => timeouts, share: 0.1, amount: count, unit: "", per: 1 },
  {
    name: "stream timers",
    read: metric("holdfast_stream_timers"),
    share: 0.1,
    amount: count,
    unit: "",
    per: 1,
  },
  {
    name: "channels",
    read: metric("holdfast_channels_watched"),
    share: 0.1,
    amount: count,
    unit: "",
    per: 1,
  },
  // Kept for up to a minute after the last touch, which the short form does not last.
  {
    name: "tasks in memory",
    read: metric("holdfast_tasks_in_memory"),
    share: short ? 2 : 0.1,
    amount: count,
    unit: "",
    per: 1,
  },
];

/**
 * @typedef {object} Sample
 * @property {number} atSeconds
 * @property {number} heapUsed
 * @property {number} external
 * @property {number} timeouts
 * @property {Map<string, number>} metrics
 */

const dataDir = mkdtempSync(join(tmpdir(), "holdfast-soak-"));
const probe = new URL("soak-probe.mjs", import.meta.url).href;
const server = await startHoldfast(
  dataDir,
  ["--heartbeat=1s", "--max-stream-age=20s", "--retention=15s", "--min-free-disk=0B"],
  { nodeFlags: ["--expose-gc", `--import=${probe}`] },
);
const churn = startCrew(new URL("churn.mjs", import.meta.url));
try {
  process.exitCode = await run();
} finally {
  await churn.kill();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function run() {
  const { url } = server;
  console.log(`${seconds} s, of which ${warmUpSeconds} s warm up; ${options.lanes} lanes`);
  await churn.call("start", { url, lanes: Number(options.lanes) });
  const startMs = performance.now();
  const everyMs = Math.max(500, (seconds * 1_000) / 200);
  /** @type {Sample[]} */
  const samples = [];
  while (performance.now() - startMs < seconds * 1_000) {
    await pause(everyMs);
    samples.push(await take((performance.now() - startMs) / 1_000));
  }
  await churn.call("stop");
  const churned = await churn.call("figures");
  const rest = ["holdfast_streams_open", "holdfast_stream_timers", "holdfast_channels_watched"];
  const empty = await comesTrue(async () => {
    const metrics = await readMetrics(url);
    return rest.every((name) => metrics.get(name) === 0);
  }, 10_000);

  const judged = samples.filter(({ atSeconds }) => atSeconds >= warmUpSeconds);
  const series = SERIES.map((one) => Object.assign(compareQuarters(judged, one), one));
  const { lost, repeated, endingsMissing, bytesWrong, problemCount } = churned;
  const missed = lost + repeated + endingsMissing + bytesWrong + problemCount;
  const passed = judge([
    ...series.map(
      ({ name, unit, per, medians, bound, growth, flat }) =>
        /** @type {const} */ ([
          `${name}: last quarter − first`,
          `${show(growth, per)} of ${show(medians[0] ?? 0, per)} ${unit}`,
          `≤ ${show(bound, per)} ${unit}`,
          flat,
        ]),
    ),
    ["milestones lost, repeated; endings missing; bytes wrong", missed, 0, missed === 0],
    ["milestones received", churned.milestones, "> 0", churned.milestones > 0],
    ["polls answered", churned.polls, "> 0", churned.polls > 0],
    ["uploads read back", churned.uploads, "> 0", churned.uploads > 0],
    ["streams, timers, channels gone with the clients", String(empty), "true", empty],
  ]);
  for (const { name, perHour, per, unit, medians } of series)
    console.log(
      `${name.padEnd(24)} ${medians.map((one) => show(one, per)).join(" → ")} ${unit}${short ? "" : `, ${show(perHour, per)} an hour by slope`}`,
    );
  console.log(JSON.stringify(churned));
  if (!short)
    console.log(
      `\n${writeResult("soak", {
        seconds,
        warmUpSeconds,
        samples: judged.length,
        churned,
        series: Object.fromEntries(
          series.map(({ name, unit, per, medians, bound, perHour, flat }) => [
            name,
            {
              unit,
              mediansOfQuarters: medians.map((one) => round(one / per, 2)),
              allowedGrowth: round(bound / per, 2),
              perHour: round(perHour / per, 2),
              flat,
            },
          ]),
        ),
        passed,
      })}`,
    );
  return passed ? 0 : 1;
}

/** @param {number} atSeconds @returns {Promise<Sample>} */
async function take(atSeconds) {
  const metrics = await readMetrics(server.url);
  const { heapUsed, external, resources } = await askProbe();
  return { atSeconds, heapUsed, external, timeouts: resources["Timeout"] ?? 0, metrics };
}

/** @returns {Promise<{ heapUsed: number, external: number, resources: Record<string, number> }>} */
async function askProbe() {
  return await new Promise((resolve, reject) => {
    const gone = () => reject(new Error("the server has ended"));
    server.child.once("exit", gone);
    server.child.once("message", (answer) => {
      server.child.off("exit", gone);
      resolve(/** @type {any} */ (answer));
    });
    server.child.send({});
  });
}

/** @param {string} name @returns {(sample: Sample) => number} */
function metric(name) {
  return ({ metrics }) => metrics.get(name) ?? Number.NaN;
}

/** @param {readonly Sample[]} judged @param {(typeof SERIES)[number]} series */
function compareQuarters(judged, { read, share: allowed, amount }) {
  const quarter = Math.floor(judged.length / 4);
  const medians = [0, 1, 2, 3].map((index) =>
    median(judged.slice(index * quarter, (index + 1) * quarter).map(read)),
  );
  const [first = Number.NaN, , , last = Number.NaN] = medians;
  const bound = Math.max(first * allowed, amount);
  const growth = last - first;
  // Theil–Sen over the quarters: the median of all slopes between two, which one odd quarter does not move.
  const step = (seconds - warmUpSeconds) / 4;
  const slopes = medians.flatMap((a, i) => medians.slice(i + 1).map((b, j) => (b - a) / ((j + 1) * step)));
  return { medians, bound, growth, flat: growth <= bound, perHour: median(slopes) * 3_600 };
}

/** @param {number} value @param {number} per */
function show(value, per) {
  return String(round(value / per, 1));
}
