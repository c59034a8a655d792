import { expect, test } from "vitest";
import { runStep, type Outcome } from "./check-steps.mjs";

/** A step whose runner writes this report, as vitest does, and ends with this code. */
async function runWith(report: object | undefined, code: number): Promise<Outcome> {
  const script = `
    const option = process.argv.find((one) => one.startsWith("--outputFile.json="));
    const report = ${JSON.stringify(report) ?? "undefined"};
    if (report !== undefined) require("node:fs").writeFileSync(option.slice(option.indexOf("=") + 1), JSON.stringify(report));
    process.exit(${code});`;
  const step = { name: "unit", command: [process.execPath, "-e", script, "--"], cases: true };
  return (await runStep(step, { maxSeconds: 20 })).outcome;
}

const good = { numTotalTests: 3, numPassedTests: 3, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };

test("cases are counted as the runner reports them", async () => {
  expect(await runWith(good, 0)).toMatchObject({ verdict: "ok", passed: 3, failed: 0 });
  expect(await runWith({ ...good, numPassedTests: 1, numFailedTests: 2 }, 1)).toMatchObject({
    passed: 1,
    failed: 2,
  });
});

test("a failed case, and a file that broke outside its cases, are told by name", async () => {
  const failed = { status: "failed", fullName: "adds up", failureMessages: ["expected 3 to be 4"] };
  const passed = { status: "passed", fullName: "subtracts", failureMessages: [] };
  const testResults = [
    { name: "sum.test.ts", status: "failed", message: "", assertionResults: [passed, failed] },
    { name: "hook.test.ts", status: "failed", message: "no such module", assertionResults: [] },
  ];
  const { failures = [] } = await runWith({ ...good, numFailedTests: 1, testResults }, 1);
  expect(failures).toHaveLength(2);
  expect(failures[0]).toMatch(/sum\.test\.ts: adds up\n +expected 3 to be 4/);
  expect(failures[1]).toMatch(/hook\.test\.ts\n +no such module/);
});

test("a skipped case fails the step, and the verdict says so", async () => {
  const outcome = await runWith({ ...good, numPassedTests: 2, numPendingTests: 1 }, 0);
  expect(outcome).toMatchObject({ verdict: "1 tests skipped", passed: 2, failed: 1 });
});

test("a run without a single test, or without a report, fails", async () => {
  expect(await runWith({ ...good, numTotalTests: 0, numPassedTests: 0 }, 0)).toMatchObject({ failed: 1 });
  expect(await runWith(undefined, 0)).toMatchObject({ verdict: "no report was written", failed: 1 });
});

test("a run that ends badly counts as a failure although every case passed", async () => {
  expect(await runWith(good, 1)).toMatchObject({ verdict: "exit 1", passed: 3, failed: 1 });
});
