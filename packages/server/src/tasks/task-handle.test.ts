import { afterEach, beforeEach, expect, test } from "vitest";
import type { Json } from "@holdfast/protocol";
import { Service, settled } from "../testing/service.js";
import { openTaskHandle, type TaskHandle } from "./task-handle.js";

let service: Service;

beforeEach(() => {
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
});

async function open(): Promise<TaskHandle> {
  const { id } = await service.job({ maxAttempts: 2 });
  return await openTaskHandle(service.tasks, id, (error) => void service.errors.push(error));
}

/** What a host in plain JavaScript may pass. */
function foreign(value: unknown): Json {
  return value as Json;
}

test("what is no JSON, or too much of it, is refused by field and changes nothing", async () => {
  const handle = await open();
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  let deep: unknown = 0;
  for (let i = 0; i < 200_000; i += 1) deep = [deep];
  const throwing = { toJSON: () => JSON.parse("{") as unknown };
  for (const data of [1n, cyclic, deep, throwing, "x".repeat(70_000), "x".repeat(10_485_760)]) {
    await expect(handle.event("note", foreign(data))).rejects.toMatchObject({
      code: "INVALID_FIELD",
      field: "/data",
    });
    await expect(handle.complete(foreign(data))).rejects.toMatchObject({
      code: "INVALID_FIELD",
      field: "/data/result",
    });
  }
  await expect(handle.stage("")).rejects.toMatchObject({ field: "/data/stage" });
  await expect(handle.stage("x".repeat(129))).rejects.toMatchObject({ field: "/data/stage" });
  await expect(handle.event("a\nevent: complete", null)).rejects.toMatchObject({ field: "/type" });
  expect(await service.tasks.read(handle.id)).toMatchObject({ status: "pending", rev: 1 });
});

test("what the host does to its object afterwards changes nothing that was said", async () => {
  const handle = await open();
  const { sink } = await service.watch(handle.id);
  const data = { page: 1, left: undefined, text: "a\r\n\u2028\ud800" };
  const said = handle.event("note", foreign(data));
  data.page = 2;
  await said;
  const result = { pages: [1] };
  const ended = handle.complete(result);
  result.pages.push(2);
  await ended;
  await settled();
  expect(sink.data("note")).toMatchObject([{ data: { page: 1, text: "a\r\n\u2028\ud800" } }]);
  expect(sink.data("complete")).toMatchObject([{ result: { pages: [1] } }]);
  expect(await service.tasks.read(handle.id)).toMatchObject({ result: { pages: [1] } });
});

test("a failure with a text beyond the bound still ends the task", async () => {
  const handle = await open();
  await handle.fail({ code: "E".repeat(100), message: "m".repeat(5_000) });
  expect(await service.tasks.read(handle.id)).toMatchObject({
    status: "failed",
    error: { code: "E".repeat(64), message: "m".repeat(1_024), retryable: false },
  });
});
