/**
 * What `npm test` runs after `npm run check`, in this order. A suite is one line here; test.mjs refuses a project of e2e/vitest.config.ts
 * that is missing from the list, since a suite that nobody runs looks like one that passes.
 */
import { join } from "node:path";

/**
 * @typedef {object} Suite
 * @property {string} name
 * @property {readonly string[]} command
 * @property {readonly import("./debian-packages.mjs").DebianPackage[]} needs
 * @property {number} maxMinutes killed beyond
 * @property {boolean} cases the runner is vitest, which says how many cases it ran
 * @property {string} file without it the suite is missing, which is a failure
 */

/**
 * Projects of e2e/vitest.config.ts: name, what they need, minutes.
 * @type {readonly (readonly [string, Suite["needs"], number])[]}
 */
const E2E_PROJECTS = [
  ["kill", [], 6],
  ["leak", [], 4],
  ["big", ["curl", "chromium"], 4],
  ["plain", ["curl", "apache2-utils", "openssl"], 5],
  ["clients", [], 2],
  ["everywhere", [], 2],
  ["eventsource", ["chromium", "firefox-esr"], 3],
  ["faults", ["iproute2", "nftables", "faketime"], 5],
  ["doctor", ["apache2", "haproxy", "lighttpd", "nginx-light", "varnish"], 4],
  ["http2", ["nghttp2-client", "curl", "openssl", "chromium"], 5],
  ["browser", ["chromium", "firefox-esr"], 5],
  ["pages", ["chromium", "firefox-esr"], 4],
];

const vitest = [
  process.execPath,
  join("node_modules", "vitest", "vitest.mjs"),
  "run",
  "--config=e2e/vitest.config.ts",
];

/** @type {readonly Suite[]} */
export const SUITES = [
  ...E2E_PROJECTS.map(([project, needs, maxMinutes]) => ({
    name: `e2e ${project}`,
    command: [...vitest, `--project=${project}`],
    needs,
    maxMinutes,
    cases: true,
    file: "e2e/vitest.config.ts",
  })),
  {
    name: "conformance",
    command: [
      process.execPath,
      join("node_modules", "vitest", "vitest.mjs"),
      "run",
      "--config=conformance/vitest.config.ts",
    ],
    needs: ["apache2", "haproxy", "nginx-light", "openssl"],
    maxMinutes: 4,
    cases: true,
    file: "conformance/vitest.config.ts",
  },
  {
    name: "load",
    command: [process.execPath, join("bench", "load.mjs"), "--short"],
    needs: [],
    maxMinutes: 2,
    cases: false,
    file: "bench/load.mjs",
  },
  {
    name: "bench",
    command: [process.execPath, join("bench", "run.mjs"), "--short"],
    needs: [],
    maxMinutes: 5,
    cases: false,
    file: "bench/run.mjs",
  },
  {
    name: "scale",
    command: [process.execPath, join("bench", "scale.mjs"), "--short"],
    needs: ["iproute2"],
    maxMinutes: 6,
    cases: false,
    file: "bench/scale.mjs",
  },
  {
    name: "soak",
    command: [process.execPath, join("bench", "soak.mjs"), "--short"],
    needs: [],
    maxMinutes: 3,
    cases: false,
    file: "bench/soak.mjs",
  },
  {
    name: "drain",
    command: [process.execPath, join("bench", "drain.mjs"), "--short"],
    needs: ["nginx-light"],
    maxMinutes: 4,
    cases: false,
    file: "bench/drain.mjs",
  },
];

/** What claims rest on: each directory must hold at least one file named `YYYY-MM-DD-<name>.json`. */
export const RESULTS = [
  { directory: "bench/results", name: "ingest" },
  { directory: "bench/results", name: "load" },
  { directory: "e2e/results", name: "faults" },
  { directory: "conformance/results", name: "conformance" },
];
