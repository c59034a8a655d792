/**
 * `npm run everywhere`: the built client on Node 22 and 24, Bun and Deno from npm, beside the Node that runs this. Writes
 * e2e/results/everywhere.json, and exits with 1 when a promise is not kept anywhere.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { requireNode } from "./node-version.mjs";

requireNode();
const { root } = await import("./stamp.mjs");
const { buildAll, installPackages } = await import("./prepare.mjs");

installPackages();
buildAll();
const { status } = spawnSync(
  process.execPath,
  [
    join("node_modules", "vitest", "vitest.mjs"),
    "run",
    "--config=e2e/vitest.config.ts",
    "--project=everywhere",
  ],
  { cwd: root, stdio: "inherit", env: { ...process.env, HOLDFAST_WHOLE: "1" } },
);
process.exitCode = status ?? 1;
