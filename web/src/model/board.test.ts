import { signal } from "@preact/signals";
import { HoldfastClientError, type BatchWatch, type Task, type TaskId } from "@holdfast/client";
import type { UploadOptions } from "@holdfast/client/upload";
import { expect, test } from "vitest";
import { BatchSession } from "./batch-session.js";
import { Board } from "./board.js";
import { createMemoryStorage, type PageStorage } from "./page-storage.js";
import { createFile, createTask, OPEN_CONNECTION } from "./task.test.kit.js";
import { FakeHandle } from "./upload-handle.test.kit.js";

function open(tasks: readonly Task[] = [], storage: PageStorage = createMemoryStorage()) {
  storage.write("batch", "batch");
  let show: (...tasks: readonly Task[]) => void = () => undefined;
  let fail: (error: HoldfastClientError) => void = () => undefined;
  let ids = 0;
  let batches = 0;
  const cancelled: string[] = [];
  const uploads: { readonly file: File; readonly options: UploadOptions; readonly handle: FakeHandle }[] = [];
  const session = new BatchSession({
    createBatch: async () => `batch-${++batches}`,
    watch: (batchId) => {
      const listeners = new Set<() => void>();
      const watch: Pick<BatchWatch, "tasks" | "connection" | "done" | "subscribe" | "close"> = {
        tasks: new Map(batchId === "batch" ? tasks.map((task) => [task.id, task]) : []),
        connection: OPEN_CONNECTION,
        done: new Promise((_, reject) => (fail = reject)),
        subscribe: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        close: () => undefined,
      };
      show = (...changed) => {
        const next = new Map<TaskId, Task>(watch.tasks);
        for (const task of changed) next.set(task.id, task);
        Object.assign(watch, { tasks: next });
        for (const listener of listeners) listener();
      };
      return watch as BatchWatch;
    },
    storage,
    now: () => 1000,
    setTimer: () => undefined,
  });
  const board = new Board({
    session,
    api: {
      baseUrl: "http://h/api/v1",
      cancelUpload: async (id) => {
        if (id === "stubborn") throw new HoldfastClientError("NETWORK", "no answer");
        cancelled.push(id);
      },
      cancelTask: async (id) => void cancelled.push(`task ${id}`),
    },
    upload: (file, options) => {
      const handle = new FakeHandle();
      uploads.push({ file, options, handle });
      return handle;
    },
    storage,
    clock: signal(100_000),
    online: signal(true),
    createId: () => `id-${++ids}`,
    setTimer: () => undefined,
  });
  session.start();
  const list = () => board.rows.value.map(({ key, status }) => `${key} ${status}`);
  return {
    board,
    session,
    storage,
    uploads,
    cancelled,
    list,
    show: (...changed: Task[]) => show(...changed),
    refuse: async () => {
      fail(new HoldfastClientError("HTTP_STATUS", "401", { status: 401 }));
      await Promise.resolve();
    },
  };
}

test("dropped files are rows at once, three of them sending", () => {
  const { board, list, uploads } = open();
  board.add(["a", "b", "c", "d"].map((name) => createFile(name)));
  expect(list()).toEqual(["id-1 starting", "id-2 starting", "id-3 starting", "id-4 queued"]);
  expect(uploads[0]?.options).toMatchObject({
    taskId: "id-1",
    batchId: "batch",
    metadata: { lastModified: "7" },
  });
});

test("a row keeps its place when the server has made its task", () => {
  const { board, list, show } = open();
  board.add([createFile("a"), createFile("b")]);
  show(createTask("id-2"), createTask("id-1"));
  expect(list()).toEqual(["id-1 starting", "id-2 starting"]);
});

test("a file that an unfinished row waits for goes on in that row, from what the server has", async () => {
  const { board, list, uploads } = open([createTask("a"), createTask("b")]);
  expect(list()).toEqual(["a needs-file", "b needs-file"]);
  board.add([createFile("b.txt")]);
  expect(list()).toEqual(["a needs-file", "b starting"]);
  const options = uploads[0]?.options;
  expect(options?.taskId).toBe("b");
  expect(await options?.storage?.findUploadsByFingerprint("any")).toMatchObject([
    { uploadUrl: "http://h/api/v1/uploads/b" },
  ]);
});

test("the same file dropped twice goes on once and begins once", () => {
  const { board, list } = open([createTask("a")]);
  board.add([createFile("a.txt"), createFile("a.txt")]);
  expect(list()).toEqual(["a starting", "id-1 starting"]);
});

test("another file chosen for an unfinished row takes its place, and the unfinished one is cancelled", async () => {
  const { board, list, cancelled } = open([createTask("a"), createTask("b")]);
  board.choose("a", createFile("other.txt"));
  await Promise.resolve();
  expect(list()).toEqual(["id-1 starting", "b needs-file"]);
  expect(cancelled).toEqual(["a"]);
});

test("a failed file tried again takes the place of the failed row", async () => {
  const { board, list, uploads } = open();
  board.add([createFile("a"), createFile("b")]);
  uploads[0]?.handle.set({ state: "failed", error: new HoldfastClientError("NETWORK", "no") });
  await board.act("id-1", "retry");
  expect(list()).toEqual(["id-3 starting", "id-2 starting"]);
});

test("a removed row stays away after a reload", async () => {
  const tasks = [createTask("a", { status: "completed", endedAt: 1 }), createTask("b")];
  const { board, storage } = open(tasks);
  await board.act("a", "remove");
  expect(open(tasks, storage).list()).toEqual(["b needs-file"]);
});

test("with the last row goes the batch: the next files begin a fresh one", async () => {
  const { board, session, storage } = open([createTask("a", { status: "completed", endedAt: 1 })]);
  board.clearEnded();
  await Promise.resolve();
  expect(session.batchId.value).toBe("batch-1");
  expect(storage.read("hidden")).toBe("[]");
});

test("each kind of task is cancelled where it lives", async () => {
  const { board, cancelled } = open([
    createTask("a"),
    createTask("t", { kind: "task", status: "processing" }),
  ]);
  await board.act("a", "cancel");
  await board.act("t", "cancel");
  expect(cancelled).toEqual(["a", "task t"]);
});

test("a cancel that the server did not hear is told", async () => {
  const { board, list } = open([createTask("stubborn")]);
  await board.act("stubborn", "cancel");
  expect(board.notice.value).toBe("cancel-failed");
  expect(list()).toEqual(["stubborn needs-file"]);
});

test("rows that did not change are the same objects, so that nothing is drawn twice", () => {
  const { board, show } = open([createTask("a"), createTask("b")]);
  const before = board.rows.value;
  show(createTask("a", { done: 41, uploaded: 41 }));
  expect(board.rows.value[0]).not.toBe(before[0]);
  expect(board.rows.value[1]).toBe(before[1]);
});

test("a page that the server refuses takes no file and tells so, instead of letting it wait for ever", async () => {
  const { board, list, uploads, refuse } = open([createTask("old", { filename: "old", total: 4 })]);
  board.add([createFile("a")]);
  const error = new HoldfastClientError("HTTP_STATUS", "401", { status: 401 });
  uploads[0]?.handle.set({ state: "failed", error });
  await refuse();
  const before = list();
  board.add([createFile("b")]);
  expect(board.notice.value).toBe("refused");
  board.choose("old", createFile("c"));
  await board.act("id-1", "retry");
  expect(list()).toEqual(before);
  expect(before).toContain("id-1 failed");
});
