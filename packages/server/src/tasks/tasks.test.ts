import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Service } from "../testing/service.js";
import type { TaskRow } from "./task-row.js";

let service: Service;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
  vi.useRealTimers();
});

/** Time goes by on every clock. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 50) {
    service.clock.nowMs += 50;
    await vi.advanceTimersByTimeAsync(50);
  }
}

/** 4,000 a second. */
async function work(row: TaskRow, seconds: number): Promise<void> {
  const { done } = await service.tasks.read(row.id);
  for (let step = 1; step <= seconds * 20; step += 1) {
    await pass(50);
    const report = { type: "progress", done: done + step * 200 } as const;
    if (!(await service.tasks.progress(row.id, { type: "report", report })))
      await service.tasks.command(row.id, { type: "report", report });
  }
}

test("a time of day that is set back by an hour changes no speed, and a stall still goes down to 0", async () => {
  const row = await service.job({ total: 1_000_000 });
  const { sink } = await service.watch(row.id);
  const speed = (): unknown => sink.data("progress").at(-1)?.["speed"];
  await work(row, 5);
  service.stepBack(3_600_000);
  await work(row, 5);
  expect(speed()).toBeGreaterThan(3_600);
  expect(speed()).toBeLessThan(4_400);
  await pass(20_000);
  expect(speed()).toBe(0);
  // And told for the last time.
  const told = sink.data("progress").length;
  await pass(2_000);
  expect(sink.data("progress")).toHaveLength(told);
});

test("a task that nobody holds or watches leaves memory, also while the time of day stands behind", async () => {
  const row = await service.job();
  await work(row, 1);
  service.stepBack(3_600_000);
  await pass(70_000);
  expect(service.tasks.size).toBe(0);
});
