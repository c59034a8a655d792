/** `npm run check`: everything that needs no browser, in under a minute. Exits with 1 when any step failed. */
import { requireNode } from "./node-version.mjs";

requireNode();
const { runCheckSteps } = await import("./check-steps.mjs");
const startedMs = performance.now();
const outcomes = await runCheckSteps(({ name, verdict, seconds, passed }, output) => {
  const cases = passed > 1 ? `, ${passed} passed` : "";
  console.log(`${name.padEnd(16)} ${seconds.toFixed(1).padStart(6)} s  ${verdict}${cases}`);
  if (verdict !== "ok") console.log(output.trimEnd());
});
const failed = outcomes.filter((outcome) => outcome.failed > 0).map(({ name }) => name);
const seconds = ((performance.now() - startedMs) / 1_000).toFixed(1);
console.log(
  failed.length === 0
    ? `check: ${outcomes.length} steps passed in ${seconds} s`
    : `check: failed in ${seconds} s: ${failed.join(", ")}`,
);
process.exitCode = failed.length === 0 ? 0 : 1;
