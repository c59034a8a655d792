/**
 * Medians, percentiles, and the dated file that a claim rests on: bench/results/<date>-<bench>.json.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, getPriority, loadavg } from "node:os";
import { fileURLToPath } from "node:url";

/** Nearest rank. @param {readonly number[]} values @param {number} share 0–1 */
export function percentile(values, share) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** @param {readonly number[]} values */
export function median(values) {
  return percentile(values, 0.5);
}

/** @param {number} value @param {number} digits */
export function round(value, digits) {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}

/** @typedef {readonly [name: string, got: string | number, asked: string | number, ok: boolean]} Check */

/** Prints the table and whether all are ok. @param {readonly Check[]} checks */
export function judge(checks) {
  console.log(`\n${"".padEnd(48)}${"measured".padStart(18)}${"asked".padStart(18)}`);
  for (const [name, got, asked, ok] of checks)
    console.log(
      `${name.padEnd(48)}${String(got).padStart(18)}${String(asked).padStart(18)}  ${ok ? "ok" : "FAILED"}`,
    );
  return checks.every(([, , , ok]) => ok);
}

/** Returns the file's path. @param {string} bench @param {object} figures */
export function writeResult(bench, figures) {
  const date = new Date().toISOString();
  const result = {
    bench,
    date,
    command: ["node", ...process.argv.slice(1).map((arg) => arg.replace(/^.*\/bench\//, "bench/"))].join(" "),
    node: process.version,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    // How busy the machine was besides, and whether this run went first: figures of a shared machine are read with both.
    loadAverage: loadavg().map((load) => round(load, 1)),
    niceness: getPriority(),
    ...figures,
  };
  const directory = fileURLToPath(new URL("results/", import.meta.url));
  mkdirSync(directory, { recursive: true });
  const path = `${directory}${date.slice(0, 10)}-${bench}.json`;
  writeFileSync(path, `${JSON.stringify(result, undefined, 2)}\n`);
  return path;
}
