import { expect, test } from "vitest";
import { createFile, createTask } from "./task.test.kit.js";
import { findUnfinished, toUploadStorage } from "./unfinished.js";

test("name, size and time of change tell that a file is the one an upload began with", () => {
  const task = createTask("a");
  expect(findUnfinished([task], createFile("a.txt"))).toBe(task);
  expect(findUnfinished([task], createFile("b.txt"))).toBeUndefined();
  expect(findUnfinished([task], createFile("a.txt", 101))).toBeUndefined();
  expect(findUnfinished([task], createFile("a.txt", 100, 8))).toBeUndefined();
});

test("an upload that names no time is known by name and size", () => {
  const task = createTask("a", { metadata: {} });
  expect(findUnfinished([task], createFile("a.txt", 100, 8))).toBe(task);
});

test("what has ended is never gone on with", () => {
  expect(findUnfinished([createTask("a", { status: "cancelled" })], createFile("a.txt"))).toBeUndefined();
});

test("the upload is found where the server has it, without a record in the browser", async () => {
  const found = await toUploadStorage(createTask("a"), "http://h/uploads/a").findUploadsByFingerprint("any");
  expect(found).toMatchObject([
    { uploadUrl: "http://h/uploads/a", size: 100, metadata: { batchId: "batch" } },
  ]);
  expect(await toUploadStorage(undefined, "http://h/uploads/a").findUploadsByFingerprint("any")).toEqual([]);
});
