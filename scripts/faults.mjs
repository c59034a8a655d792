/**
 * `npm run faults [-- --short]`: the fault matrix, in its whole form on ground that was just built. Writes e2e/results/<date>-faults.json
 * and docs/faults.md, and exits with 1 when a count is not zero or a watcher was not whole again in time.
 *
 * HOLDFAST_SEED=<number> repeats a run; HOLDFAST_FAULTS="reset,half-open" takes only these faults, and keeps nothing.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { requireNode } from "./node-version.mjs";

requireNode();
const { root } = await import("./stamp.mjs");
const { buildAll, installPackages } = await import("./prepare.mjs");
const { findMissing, installDebianPackages } = await import("./debian-packages.mjs");

const { values: options } = parseArgs({ options: { short: { type: "boolean", default: false } } });
installPackages();
const missing = findMissing(["iproute2", "nftables", "faketime"]);
if (missing.length > 0) {
  const reason = installDebianPackages(missing);
  // The faults that need them say so by themselves.
  if (reason !== undefined) console.log(`faults: ${missing.join(", ")} can't be installed: ${reason}`);
}
buildAll();
const { status } = spawnSync(
  process.execPath,
  [
    join("node_modules", "vitest", "vitest.mjs"),
    "run",
    "--config=e2e/vitest.config.ts",
    "--project=faults",
    ...(options.short ? [] : ["e2e/faults/faults.test.ts"]),
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...(options.short ? {} : { HOLDFAST_WHOLE: "1" }) },
  },
);
process.exitCode = status ?? 1;
