/**
 * Ingest: how fast bytes land, as a ratio to the least that a Node server can do (raw-server.mjs), in one run on one machine.
 *
 *   npm run bench [-- --mib 1024 --repetitions 7 --dir /some/disk --short]
 *
 * Asked for: raw PUT ≥ 0.95, tus in one PATCH ≥ 0.78, tus in 8 MiB chunks ≥ 0.68; less exits with 1.
 *
 * Method. Two servers and one client, each a process of its own; somebody watches every upload. The ways take turns within a repetition
 * and the order turns with it, so that a busy moment of the machine falls on all alike. A ratio is that of medians; beside it stands
 * the range of the ratios within a repetition. The first repetition warms up and is not counted. Between measurements files
 * are removed and the disk is synced. Holdfast syncs each file behind its answer; the raw server never does.
 * The short form, which runs in `npm test` on machines that do much else at once, judges by the fastest repetition of each way, which
 * others disturb least, and fails only below 0.8 of what is asked.
 */
import { fork, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { median, round, writeResult } from "./report.mjs";
import { startHoldfast, startServer } from "./server-child.mjs";

const ASKED = { put: 0.95, tus: 0.78, "tus-chunks": 0.68 };
const SHORT_TOLERANCE = 0.8;
/** @type {readonly ("raw" | "put" | "tus" | "tus-chunks")[]} */
const WAYS = ["raw", "put", "tus", "tus-chunks"];

const { values: options } = parseArgs({
  options: {
    mib: { type: "string", default: "200" },
    repetitions: { type: "string" },
    dir: { type: "string", default: tmpdir() },
    short: { type: "boolean", default: false },
  },
});
const bytes = Number(options.mib) * 1_048_576;
const repetitions = Number(options.repetitions ?? (options.short ? 3 : 7));
const directory = mkdtempSync(join(options.dir, "holdfast-bench-"));
const rawDirectory = join(directory, "raw");
mkdirSync(rawDirectory);

const holdfast = await startHoldfast(join(directory, "holdfast"), ["--min-free-disk=0B"]);
const raw = await startServer([fileURLToPath(new URL("raw-server.mjs", import.meta.url)), rawDirectory]);
const client = fork(fileURLToPath(new URL("upload-client.mjs", import.meta.url)));
try {
  process.exitCode = await run();
} finally {
  client.disconnect();
  await Promise.all([holdfast.stop(), raw.stop()]);
  rmSync(directory, { recursive: true, force: true });
}

async function run() {
  console.log(`${options.mib} MiB, ${repetitions} repetitions, in ${options.dir}`);
  /** @type {Map<string, number[]>} */
  const times = new Map(WAYS.map((way) => [way, []]));
  for (let repetition = 0; repetition <= repetitions; repetition += 1) {
    for (let turn = 0; turn < WAYS.length; turn += 1) {
      const way = WAYS[(turn + repetition) % WAYS.length] ?? "raw";
      const elapsedMs = await measure(way);
      if (repetition > 0) times.get(way)?.push(elapsedMs);
      for (const name of readdirSync(rawDirectory)) rmSync(join(rawDirectory, name));
    }
  }
  const rawTimes = times.get("raw") ?? [];
  const results = Object.entries(ASKED).map(([way, asked]) => {
    const own = times.get(way) ?? [];
    const ratios = own.map((ms, index) => (rawTimes[index] ?? Number.NaN) / ms);
    return {
      way,
      asked,
      ratio: round(median(rawTimes) / median(own), 3),
      fastestRatio: round(Math.min(...rawTimes) / Math.min(...own), 3),
      ratioRange: [round(Math.min(...ratios), 3), round(Math.max(...ratios), 3)],
      medianMs: round(median(own), 1),
      rangeMs: [round(Math.min(...own), 1), round(Math.max(...own), 1)],
      mibPerSecond: Math.round(Number(options.mib) / (median(own) / 1_000)),
    };
  });
  const baseline = {
    medianMs: round(median(rawTimes), 1),
    rangeMs: [round(Math.min(...rawTimes), 1), round(Math.max(...rawTimes), 1)],
    mibPerSecond: Math.round(Number(options.mib) / (median(rawTimes) / 1_000)),
  };
  /** @param {(typeof results)[number]} result */
  const passes = ({ ratio, fastestRatio, asked }) =>
    options.short ? fastestRatio >= asked * SHORT_TOLERANCE : ratio >= asked;
  console.log(`\nway         ratio  fastest  range          asked   median ms   MiB/s`);
  console.log(
    `raw pipe    1                                      ${String(baseline.medianMs).padStart(9)} ${String(baseline.mibPerSecond).padStart(7)}`,
  );
  for (const result of results) {
    const { way, asked, ratio, fastestRatio, ratioRange, medianMs, mibPerSecond } = result;
    const verdict =
      ratio >= asked ? "ok" : passes(result) ? "below, within the short form's tolerance" : "FAILED";
    console.log(
      `${way.padEnd(11)} ${ratio.toFixed(3)}  ${fastestRatio.toFixed(3).padEnd(8)} ${ratioRange
        .map((one) => one.toFixed(2))
        .join("–")
        .padEnd(
          13,
        )}  ${asked.toFixed(2)}  ${String(medianMs).padStart(9)} ${String(mibPerSecond).padStart(7)}  ${verdict}`,
    );
  }
  const passed = results.every(passes);
  if (!options.short)
    console.log(`\n${writeResult("ingest", { bytes, repetitions, baseline, results, passed })}`);
  return passed ? 0 : 1;
}

/** @param {(typeof WAYS)[number]} way @returns {Promise<number>} */
async function measure(way) {
  // What the one before left to be written back must not slow the next; each starts with a disk at rest.
  spawnSync("sync", { stdio: "ignore" });
  /** @type {{ elapsedMs: number } | { error: string }} */
  const answer = await new Promise((resolve, reject) => {
    client.once("message", (message) =>
      resolve(/** @type {{ elapsedMs: number } | { error: string }} */ (message)),
    );
    client.once("exit", reject);
    client.send({ way, url: way === "raw" ? raw.url : holdfast.url, bytes });
  });
  client.removeAllListeners("exit");
  if ("error" in answer) throw new Error(answer.error);
  return answer.elapsedMs;
}
