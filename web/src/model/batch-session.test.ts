import {
  HoldfastClientError,
  type BatchId,
  type BatchOutcome,
  type BatchWatch,
  type Task,
  type TaskId,
} from "@holdfast/client";
import { expect, test } from "vitest";
import { BatchSession } from "./batch-session.js";
import { createMemoryStorage } from "./page-storage.js";
import { createTask, OPEN_CONNECTION } from "./task.test.kit.js";

/** A watch that says what the test says. */
function createWatch(batchId: string) {
  let end: (outcome: BatchOutcome) => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const done = new Promise<BatchOutcome>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  const listeners = new Set<() => void>();
  const shown = new Map<TaskId, Task>();
  const watch: BatchWatch = {
    batchId: batchId as BatchId,
    tasks: shown,
    batch: null,
    unavailable: new Map(),
    connection: OPEN_CONNECTION,
    done,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => undefined,
    [Symbol.asyncIterator]: () => {
      throw new Error("not iterated here");
    },
  };
  const show = (...tasks: readonly Task[]): void => {
    const next = new Map(watch.tasks);
    for (const task of tasks) next.set(task.id, task);
    Object.assign(watch, { tasks: next });
    for (const listener of listeners) listener();
  };
  return { watch, show, end, fail };
}

function open(stored: string | null = null) {
  const storage = createMemoryStorage();
  if (stored !== null) storage.write("batch", stored);
  const watches = new Map<string, ReturnType<typeof createWatch>>();
  const timers: { readonly act: () => void; readonly delayMs: number }[] = [];
  const answers: (string | Error)[] = [];
  const session = new BatchSession({
    createBatch: async () => {
      const answer = answers.shift() ?? `new-${watches.size}`;
      if (typeof answer === "string") return answer;
      throw answer;
    },
    watch: (batchId) => {
      const made = createWatch(batchId);
      watches.set(batchId, made);
      return made.watch;
    },
    storage,
    now: () => 1000,
    setTimer: (act, delayMs) => void timers.push({ act, delayMs }),
  });
  return { session, storage, watches, timers, answers };
}

// Lets promises that are settled already tell their listeners.
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
};

test("a first visit makes a batch and remembers it", async () => {
  const { session, storage } = open();
  session.start();
  expect(session.batchId.value).toBeNull();
  await settle();
  expect(session.batchId.value).toBe("new-0");
  expect(storage.read("batch")).toBe("new-0");
});

test("a reload watches the batch from before, and its tasks come back", async () => {
  const { session, watches } = open("old");
  session.start();
  watches.get("old")?.show(createTask("a"));
  expect(session.batchId.value).toBe("old");
  expect([...session.tasks.value.keys()]).toEqual(["a"]);
});

test("a batch that the server no longer knows is replaced", async () => {
  const { session, watches, storage } = open("old");
  session.start();
  watches.get("old")?.fail(new HoldfastClientError("HTTP_STATUS", "404", { status: 404 }));
  await settle();
  expect(session.batchId.value).toBe("new-1");
  expect(storage.read("batch")).toBe("new-1");
});

test("a refusal is final and keeps the batch for a better token", async () => {
  const { session, watches, storage } = open("old");
  session.start();
  watches.get("old")?.fail(new HoldfastClientError("HTTP_STATUS", "401", { status: 401 }));
  await settle();
  expect(session.state.value.kind).toBe("refused");
  expect(storage.read("batch")).toBe("old");
});

test("a server that is down is asked again, ever more slowly", async () => {
  const { session, answers, timers } = open();
  const down = new HoldfastClientError("NETWORK", "no answer");
  answers.push(down, down);
  session.start();
  await settle();
  expect(session.state.value).toEqual({ kind: "creating", retryAtMs: 2000 });
  timers[0]?.act();
  await settle();
  timers[1]?.act();
  await settle();
  expect(timers.map(({ delayMs }) => delayMs)).toEqual([1000, 2000]);
  expect(session.state.value.kind).toBe("watching");
});

test("what a closed batch held stays on the list beside the new one's", async () => {
  const { session, watches } = open("old");
  session.start();
  watches.get("old")?.show(createTask("a", { status: "completed" }));
  watches.get("old")?.end({ tasks: new Map(), completed: 1, failed: 0, cancelled: 0 });
  await settle();
  expect(session.state.value.kind).toBe("ended");
  session.renew(true);
  await settle();
  watches.get("new-1")?.show(createTask("b"));
  expect([...session.tasks.value.keys()]).toEqual(["a", "b"]);
});

test("bytes seen to move are dated; a first snapshot is no movement", () => {
  const { session, watches } = open("old");
  session.start();
  watches.get("old")?.show(createTask("a"));
  expect(session.movedAtMs.has("a")).toBe(false);
  watches.get("old")?.show(createTask("a", { uploaded: 50 }));
  expect(session.movedAtMs.get("a")).toBe(1000);
});
