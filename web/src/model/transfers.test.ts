import { HoldfastClientError } from "@holdfast/client";
import { expect, test } from "vitest";
import { createFile } from "./task.test.kit.js";
import { Transfers } from "./transfers.js";
import { FakeHandle } from "./upload-handle.test.kit.js";

function open(keys: readonly string[], held = false) {
  const handles = new Map<string, FakeHandle>();
  const timers: (() => void)[] = [];
  const transfers = new Transfers({
    startUpload: (key) => {
      const handle = new FakeHandle();
      handles.set(key, handle);
      return handle;
    },
    setTimer: (act) => void timers.push(act),
  });
  transfers.hold(held);
  for (const key of keys) transfers.add(key, createFile(key));
  const phases = () => [...transfers.items.value.values()].map(({ phase }) => phase).join(" ");
  const handle = (key: string): FakeHandle => {
    const found = handles.get(key);
    if (found === undefined) throw new Error(`${key} was not started`);
    return found;
  };
  return { transfers, handles, handle, timers, phases };
}

test("nothing starts while there is no batch to put it in", () => {
  const { transfers, handles, phases } = open(["a"], true);
  expect(phases()).toBe("queued");
  transfers.hold(false);
  expect([...handles.keys()]).toEqual(["a"]);
});

test("a fourth file waits until one of three has ended", () => {
  const { handle, phases } = open(["a", "b", "c", "d"]);
  expect(phases()).toBe("starting starting starting queued");
  handle("b").set({ state: "done" });
  expect(phases()).toBe("starting done starting starting");
});

test("a paused file frees its place and goes on where it was when resumed", () => {
  const { transfers, handle, handles, phases } = open(["a", "b", "c", "d"]);
  transfers.pause("a");
  expect(phases()).toBe("paused starting starting starting");
  transfers.resume("a");
  expect(phases()).toBe("queued starting starting starting");
  handle("d").set({ state: "done" });
  expect(phases()).toBe("sending starting starting done");
  expect(handles.size).toBe(4);
  expect(handle("a").calls).toEqual(["pause", "resume"]);
});

test("bytes that merely move are published by the timer, not one by one", () => {
  const { transfers, handle, timers } = open(["a"]);
  handle("a").set({ state: "sending" });
  const before = transfers.items.value;
  handle("a").set({ sent: 10 });
  handle("a").set({ sent: 20 });
  expect(transfers.items.value).toBe(before);
  expect(timers.length).toBe(1);
  timers[0]?.();
  expect(transfers.items.value.get("a")?.sentBytes).toBe(20);
});

test("a failure carries the server's finest code and its sentence", () => {
  const { transfers, handle } = open(["a"]);
  const error = new HoldfastClientError("HTTP_STATUS", "413", {
    status: 413,
    problem: { code: "UPLOAD_TOO_LARGE", detail: "too large" },
  });
  handle("a").set({ state: "failed", error });
  expect(transfers.items.value.get("a")).toMatchObject({
    phase: "failed",
    failure: { kind: "too-large", code: "UPLOAD_TOO_LARGE", message: "too large" },
  });
});

test("cancelling a file that never began asks nobody", async () => {
  const { transfers, handles, phases } = open(["a", "b", "c", "d"]);
  await transfers.cancel("d");
  expect(phases()).toBe("starting starting starting cancelled");
  expect(handles.has("d")).toBe(false);
});

test("a nudge starts the next attempt at once, without a pause that anybody sees", () => {
  const { transfers, handle, handles, phases } = open(["a", "b", "c", "d"]);
  handle("a").waitForRetry();
  expect(phases()).toBe("retrying starting starting queued");
  transfers.nudge();
  expect(handle("a").calls).toEqual(["pause", "resume"]);
  expect(phases()).toBe("sending starting starting queued");
  expect(handles.has("d")).toBe(false);
});

test("a dropped file is not heard of again", () => {
  const { transfers, handle } = open(["a"]);
  const a = handle("a");
  transfers.drop("a");
  a.set({ state: "done" });
  expect(transfers.items.value.size).toBe(0);
});
