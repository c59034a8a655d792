/**
 * The steps of `npm run check` and how they run: two at a time (a laptop's two cores), types before whatever reads dist.
 *
 * A step prints one line; its output only when it failed. Vitest steps count their cases; a skipped case fails them, since a
 * check that checks nothing looks like one that passed. Called by: check.mjs, test.mjs.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { runBounded } from "./bounded-run.mjs";
import { root } from "./stamp.mjs";

const PARALLEL = 2;
const MAX_SECONDS = 180;

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {readonly string[]} command
 * @property {boolean} [early] needs no dist
 * @property {boolean} [cases] the runner is vitest, which says how many cases it ran
 */

/** @type {readonly Step[]} */
const CHECK_STEPS = [
  { name: "types", command: node("typescript/bin/tsc", "-b"), early: true },
  { name: "format", command: node("oxfmt/bin/oxfmt", "--check", "."), early: true },
  { name: "unit tests", command: node("vitest/vitest.mjs", "run"), cases: true },
  { name: "lint", command: node("oxlint/bin/oxlint", "--type-aware", ".") },
  { name: "dead code", command: node("knip/bin/knip.js", "--no-progress", "--treat-config-hints-as-errors") },
  { name: "size", command: [process.execPath, join("scripts", "size.mjs")] },
  { name: "package shape", command: [process.execPath, join("scripts", "package-shape.mjs")] },
  // Not part of the build: nothing is emitted from these rooms by tsc.
  ...["scripts", "web", "conformance", "e2e", "bench"]
    .filter((room) => existsSync(join(root, room, "tsconfig.json")))
    .map((room) => ({
      name: `types of ${room}`,
      command: node("typescript/bin/tsc", "-p", room, "--noEmit"),
    })),
];

/**
 * @typedef {object} Outcome
 * @property {string} name
 * @property {string} verdict
 * @property {number} seconds
 * @property {number} passed
 * @property {number} failed
 * @property {readonly string[]} [failures] each failed case: its name and what was wrong
 */

/**
 * @param {(outcome: Outcome, output: string) => void} tell
 * @returns {Promise<readonly Outcome[]>} in the order of the steps
 */
export async function runCheckSteps(tell) {
  const outcomes = new Map();
  for (const wave of [CHECK_STEPS.filter(({ early }) => early), CHECK_STEPS.filter(({ early }) => !early)]) {
    const waiting = [...wave];
    const worker = async () => {
      for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
        const { outcome, output } = await runStep(step, { maxSeconds: MAX_SECONDS });
        outcomes.set(step.name, outcome);
        tell(outcome, output);
      }
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
  }
  return CHECK_STEPS.map(({ name }) => outcomes.get(name));
}

/**
 * @param {Step} step
 * @param {{ maxSeconds: number, show?: boolean }} options
 * @returns {Promise<{ outcome: Outcome, output: string }>}
 */
export async function runStep({ name, command, cases = false }, { maxSeconds, show = false }) {
  const reports = mkdtempSync(join(tmpdir(), "holdfast-report-"));
  const report = join(reports, "vitest.json");
  try {
    const reporters = cases ? ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`] : [];
    const { ok, verdict, seconds, output } = await runBounded([...command, ...reporters], {
      cwd: root,
      maxSeconds,
      show,
    });
    const counted = cases
      ? countCases(report)
      : { passed: ok ? 1 : 0, failed: ok ? 0 : 1, note: "", failures: [] };
    // A run that failed without a failed case (a bound, a crash, an unhandled rejection) must still count as one.
    const failed = ok ? counted.failed : Math.max(1, counted.failed);
    return {
      outcome: {
        name,
        verdict: ok && failed > 0 ? counted.note : verdict,
        seconds,
        passed: counted.passed,
        failed,
        failures: counted.failures,
      },
      output,
    };
  } finally {
    rmSync(reports, { recursive: true, force: true });
  }
}

/**
 * @param {string} file vitest's JSON report
 * @returns {{ passed: number, failed: number, note: string, failures: readonly string[] }}
 */
function countCases(file) {
  if (!existsSync(file)) return { passed: 0, failed: 1, note: "no report was written", failures: [] };
  const report = JSON.parse(readFileSync(file, "utf8"));
  const left = report.numPendingTests + report.numTodoTests;
  if (report.numTotalTests === 0) return { passed: 0, failed: 1, note: "no test was found", failures: [] };
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + left,
    note: `${left} tests skipped`,
    failures: (report.testResults ?? []).flatMap(describeFailures),
  };
}

/**
 * @param {{ name: string, status: string, message: string, assertionResults: readonly { status: string, fullName: string, failureMessages: readonly string[] }[] }} result
 * @returns {readonly string[]}
 */
function describeFailures({ name, status, message, assertionResults }) {
  const file = relative(root, name);
  const failures = assertionResults
    .filter((result) => result.status !== "passed")
    .map((result) => `${file}: ${result.fullName}\n${firstLines(result.failureMessages.join("\n"))}`);
  // A file that broke outside its cases, in a hook or on import, has only a message.
  return status === "failed" && failures.length === 0 ? [`${file}\n${firstLines(message)}`] : failures;
}

/** @param {string} text @returns {string} indented, the head of a stack being enough to find the place */
function firstLines(text) {
  return text
    .split("\n")
    .slice(0, 12)
    .map((line) => `    ${line}`)
    .join("\n");
}

/** @param {string} script below node_modules @param {readonly string[]} args @returns {readonly string[]} */
function node(script, ...args) {
  return [process.execPath, join("node_modules", script), ...args];
}
