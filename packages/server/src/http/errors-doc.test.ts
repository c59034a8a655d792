import { readFileSync } from "node:fs";
import { ERROR_STATUS, TASK_ERROR_CODES } from "@holdfast/protocol";
import { expect, test } from "vitest";

const text = readFileSync(new URL("../../../../docs/errors.md", import.meta.url), "utf8");
const [problems = "", tasks = ""] = text.split("## In a failed task");
const problemRows = [...problems.matchAll(/^\| `([A-Z0-9_]+)` \| (\d+) \| ([^|]+) \| ([^|]+) \|$/gm)];
const taskRows = [...tasks.matchAll(/^\| `([A-Z0-9_]+)` \| ([^|]+) \| ([^|]+) \|$/gm)];

test("docs/errors.md lists every code of a problem document with its status, and no other", () => {
  expect(Object.fromEntries(problemRows.map(([, code, status]) => [code, Number(status)]))).toEqual(
    ERROR_STATUS,
  );
});

test("docs/errors.md lists every code of a failed task, and no other", () => {
  expect(taskRows.map(([, code]) => code)).toEqual(TASK_ERROR_CODES);
});

test("no code is listed twice", () => {
  const codes = problemRows.map(([, code]) => code);
  expect(codes).toHaveLength(new Set(codes).size);
});
