/**
 * `npm test`: from a fresh clone to a verdict. Installs npm packages, and Debian packages where it may; builds; then runs the check, every
 * suite of suites.mjs, each bounded in time, and looks for the dated results that claims rest on.
 *
 * Promises: the last line is `N passed, N failed`, of test cases where the runner counts them and else of suites; exits with 1 on any failure.
 * A suite that can't run here is named with its reason, and fails when CI=true.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { requireNode } from "./node-version.mjs";

requireNode();
const { root } = await import("./stamp.mjs");
const { buildAll, installPackages } = await import("./prepare.mjs");
const { findMissing, installDebianPackages } = await import("./debian-packages.mjs");
const { RESULTS, SUITES } = await import("./suites.mjs");

const ci = process.env["CI"] === "true";
/** @type {import("./check-steps.mjs").Outcome[]} */
const outcomes = [];

prepare("install", installPackages);
const leftOut = provideNeeds();
prepare("build", buildAll);

const { runCheckSteps, runStep } = await import("./check-steps.mjs");
outcomes.push(
  ...(await runCheckSteps((outcome, output) => {
    printOutcome(outcome);
    if (outcome.verdict !== "ok") console.log(output.trimEnd());
  })),
);
for (const { name, command, maxMinutes, cases, file } of SUITES) {
  const reason = leftOut.get(name);
  if (reason !== undefined) {
    console.log(`${name}: left out, ${reason}`);
    if (ci) fail(name, `left out: ${reason}`);
  } else if (existsSync(join(root, file))) {
    console.log(`\n${name} (at most ${maxMinutes} min)`);
    const { outcome } = await runStep({ name, command, cases }, { maxSeconds: maxMinutes * 60, show: true });
    outcomes.push(outcome);
    printOutcome(outcome);
  } else {
    fail(name, `${file} is missing`);
  }
}
for (const project of unlistedProjects())
  fail(`e2e ${project}`, "is in no suite; add it to scripts/suites.mjs");
for (const { directory, name } of RESULTS) {
  const files = existsSync(join(root, directory)) ? readdirSync(join(root, directory)) : [];
  if (!files.some((file) => /^\d{4}-\d{2}-\d{2}-/.test(file) && file.slice(11) === `${name}.json`))
    fail(directory, `holds no dated result of ${name}`);
}

console.log("");
for (const outcome of outcomes) printOutcome(outcome);
for (const [name, reason] of leftOut) console.log(`${name.padEnd(24)} left out: ${reason}`);
for (const { name, failures = [] } of outcomes)
  for (const failure of failures) console.log(`\nfailed in ${name}: ${failure}`);
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

/** Without packages nothing else can run; without a build the check says more. @param {string} name @param {() => void} step */
function prepare(name, step) {
  try {
    step();
  } catch (error) {
    fail(name, error instanceof Error ? error.message : String(error));
  }
}

/** Suite → why it can't run here. */
function provideNeeds() {
  const missing = findMissing([...new Set(SUITES.flatMap(({ needs }) => needs))]);
  const reason = missing.length === 0 ? undefined : installDebianPackages(missing);
  /** @type {Map<string, string>} */
  const without = new Map();
  for (const { name, needs } of SUITES) {
    const absent = findMissing(needs);
    if (absent.length > 0)
      without.set(
        name,
        `needs ${absent.join(", ")} (${reason ?? "installed, but its command is not there"})`,
      );
  }
  return without;
}

/** Projects by their `name:` in the e2e configuration. */
function unlistedProjects() {
  const config = join(root, "e2e", "vitest.config.ts");
  if (!existsSync(config)) return [];
  const named = [...readFileSync(config, "utf8").matchAll(/\bname: "([^"]+)"/g)].map(([, name = ""]) => name);
  if (named.length === 0) return ["(no project found)"];
  return named.filter((name) => !SUITES.some((suite) => suite.name === `e2e ${name}`));
}

/** @param {string} name @param {string} verdict */
function fail(name, verdict) {
  const outcome = { name, verdict, seconds: 0, passed: 0, failed: 1 };
  outcomes.push(outcome);
  printOutcome(outcome);
}

/** @param {import("./check-steps.mjs").Outcome} outcome */
function printOutcome({ name, verdict, seconds, passed: good, failed: bad }) {
  console.log(
    `${name.padEnd(24)} ${seconds.toFixed(1).padStart(7)} s ${String(good).padStart(6)} passed ${String(bad).padStart(4)} failed  ${verdict}`,
  );
}
