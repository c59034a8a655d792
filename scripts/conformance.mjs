/**
 * `npm run conformance [-- --short]`: every proxy from Debian through every case, in its shortest configuration and in ours, on ground that was
 * just built. The whole form writes conformance/results/<date>-conformance.json and docs/proxies.md. Exits with 1 when one of our
 * configurations breaks a promise.
 *
 * HOLDFAST_PROXIES="nginx,caddy" takes only these: their rows in the newest result are replaced, the others stay.
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
const missing = findMissing([
  "apache2",
  "caddy",
  "chromium",
  "firefox-esr",
  "haproxy",
  "hitch",
  "lighttpd",
  "nginx-light",
  "openssl",
  "squid-openssl",
  "varnish",
]);
if (missing.length > 0) {
  const reason = installDebianPackages(missing);
  if (reason !== undefined) throw new Error(`conformance needs ${missing.join(", ")}: ${reason}`);
}
buildAll();
const { status } = spawnSync(
  process.execPath,
  [
    join("node_modules", "vitest", "vitest.mjs"),
    "run",
    "--config=conformance/vitest.config.ts",
    ...(options.short ? [] : ["conformance/conformance.test.ts"]),
  ],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, ...(options.short ? {} : { HOLDFAST_WHOLE: "1" }) },
  },
);
process.exitCode = status ?? 1;
