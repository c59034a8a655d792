import { expect, test, vi } from "vitest";
import { EventBuffer } from "./event-buffer.js";
import { cursor, task, taskId } from "./task.test.kit.js";
import type { WatchEvent } from "./watch-event.js";

function progress(id: string, done: number): WatchEvent {
  const { attempt, status, stage, total, uploaded, unit, percentage, speed, eta, rev } = task();
  const moved = { attempt, status, stage, done, total, uploaded, unit, percentage, speed, eta, rev };
  return { type: "progress", data: { ...moved, taskId: taskId(id), timestamp: 3 }, lastEventId: "" };
}

function stageBegun(sequence: number): WatchEvent {
  const data = {
    taskId: taskId("t1"),
    attempt: 1,
    stage: `s${sequence}`,
    phase: "begin",
    timestamp: 1,
  } as const;
  return { type: "stage", data, lastEventId: cursor(sequence) };
}

async function drain(buffer: EventBuffer): Promise<WatchEvent[]> {
  const events: WatchEvent[] = [];
  for await (const event of buffer) events.push(event);
  return events;
}

const nobody = (): void => undefined;

test("progress collapses to the newest of each task, milestones are kept in order", async () => {
  const buffer = new EventBuffer(() => [], nobody);
  for (const event of [progress("a", 1), stageBegun(1), progress("b", 1), progress("a", 2), stageBegun(2)])
    buffer.push(event, 9);
  buffer.end();
  expect(await drain(buffer)).toEqual([stageBegun(1), progress("b", 1), progress("a", 2), stageBegun(2)]);
});

test("an iteration begins with what is known", async () => {
  const buffer = new EventBuffer(() => [task()], nobody);
  buffer.push(stageBegun(6), 9);
  buffer.end();
  expect((await drain(buffer)).map(({ type }) => type)).toEqual(["snapshot", "stage"]);
});

test("past the bound a gap is said and the present follows", async () => {
  const buffer = new EventBuffer(() => [task()], nobody, 100);
  for (let i = 1; i <= 11; i++) buffer.push(stageBegun(i), 10);
  buffer.push(stageBegun(12), 10);
  buffer.end();
  const events = await drain(buffer);
  expect(events.map(({ type }) => type)).toEqual(["gap", "snapshot", "stage"]);
  expect(events[0]).toMatchObject({ data: { taskId: null, to: cursor(11) } });
});

test("a reader that waits gets the event at once, and the end", async () => {
  const buffer = new EventBuffer(() => [], nobody);
  const first = buffer.next();
  const second = buffer.next();
  buffer.push(stageBegun(1), 9);
  buffer.end();
  expect(await first).toEqual({ done: false, value: stageBegun(1) });
  expect(await second).toEqual({ done: true, value: undefined });
});

test("a failure is thrown after what is queued, once", async () => {
  const buffer = new EventBuffer(() => [], nobody);
  buffer.push(stageBegun(1), 9);
  buffer.end(new Error("refused"));
  expect(await buffer.next()).toMatchObject({ done: false });
  await expect(buffer.next()).rejects.toThrow("refused");
  expect(await buffer.next()).toEqual({ done: true, value: undefined });
});

test("leaving the loop releases the buffer", async () => {
  const onReturn = vi.fn<(buffer: EventBuffer) => void>();
  const buffer = new EventBuffer(() => [task()], onReturn);
  for await (const { type } of buffer) if (type === "snapshot") break;
  expect(onReturn).toHaveBeenCalledExactlyOnceWith(buffer);
  expect(await buffer.next()).toEqual({ done: true, value: undefined });
});
