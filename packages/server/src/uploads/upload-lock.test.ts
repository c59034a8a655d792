import { expect, test } from "vitest";
import { UploadLocks } from "./upload-lock.js";

const WAIT_MS = 20;

test("whoever comes next asks the holder to stop, and holds when it has", async () => {
  const locks = new UploadLocks();
  const first = await locks.acquire("u");
  const order: string[] = [];
  first.wanted.addEventListener("abort", () => {
    order.push("asked");
    queueMicrotask(() => {
      order.push("stopped");
      first.release();
    });
  });
  const second = await locks.acquire("u");
  expect([...order, second.wanted.aborted]).toEqual(["asked", "stopped", false]);
  second.release();
  expect(locks.size).toBe(0);
});

test("of many who wait one holds at a time, and each comes to its turn", async () => {
  const locks = new UploadLocks();
  let holding = 0;
  let served = 0;
  const take = async (): Promise<void> => {
    const lock = await locks.acquire("u");
    holding += 1;
    expect(holding).toBe(1);
    await Promise.resolve();
    holding -= 1;
    served += 1;
    lock.release();
  };
  await Promise.all(Array.from({ length: 50 }, take));
  expect([served, locks.size]).toEqual([50, 0]);
});

test("other uploads are not concerned", async () => {
  const locks = new UploadLocks();
  const first = await locks.acquire("u");
  await locks.acquire("v");
  expect([first.wanted.aborted, locks.size]).toEqual([false, 2]);
});

test("a holder that does not stop keeps the lock, and the one who waited is told to come again", async () => {
  const locks = new UploadLocks(WAIT_MS);
  await locks.acquire("u");
  await expect(locks.acquire("u")).rejects.toMatchObject({ code: "UPLOAD_LOCKED", retryAfterSeconds: 1 });
  expect(locks.size).toBe(1);
});

test("a one-shot is asked to stop by nobody but whoever may wait for its end", async () => {
  const locks = new UploadLocks();
  const shot = await locks.acquire("u", { yields: false });
  await expect(locks.acquire("u")).rejects.toMatchObject({ code: "UPLOAD_LOCKED" });
  expect(shot.wanted.aborted).toBe(false);
  const remover = locks.acquire("u", { waits: true });
  shot.release();
  (await remover).release();
  expect(locks.size).toBe(0);
});

test("a lock let go of twice does not free what another holds by then", async () => {
  const locks = new UploadLocks();
  const first = await locks.acquire("u");
  first.release();
  await locks.acquire("u");
  first.release();
  expect(locks.size).toBe(1);
});

test("stopping all asks every writer, one-shots too, and waits for them", async () => {
  const locks = new UploadLocks();
  const held = [await locks.acquire("a"), await locks.acquire("b", { yields: false })];
  for (const lock of held) lock.wanted.addEventListener("abort", () => queueMicrotask(() => lock.release()));
  await locks.stopAll();
  expect(locks.size).toBe(0);
  await locks.idle();
});
