import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BatchId } from "@holdfast/protocol";
import { afterEach, expect, test } from "vitest";
import { openDatabase } from "./sqlite-driver.js";
import { openSqliteStore } from "./sqlite-store.js";
import { storeSuite } from "./store-suite.js";
import { change, commit, created } from "./store.test.kit.js";

const directories: string[] = [];

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-store-"));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

storeSuite("the embedded store", async (historyPerTask) => {
  const now = { ms: 1_000 };
  const store = await openSqliteStore({
    directory: newDirectory(),
    now: () => now.ms,
    ...(historyPerTask !== undefined && { historyPerTask }),
  });
  return { store, now, release: async () => await store.close() };
});

test("a store that is opened again knows its tasks, its milestones, its epoch and its cursors", async () => {
  const directory = newDirectory();
  const before = await openSqliteStore({ directory });
  const first = await commit(before, created());
  const second = await commit(before, change(first.row, "stage"));
  await before.close();
  const after = await openSqliteStore({ directory });
  expect(after.epoch).toBe(before.epoch);
  expect(await after.readTask(first.row.id)).toEqual(second.row);
  expect(await after.locate(second.row.cursor)).toBe(second.row.position);
  expect(await after.newest()).toEqual({ cursor: second.row.cursor, position: second.row.position });
  const third = await commit(after, created());
  expect(third.row.position).toBe(second.row.position + 1);
  await after.close();
});

test("a second server on the same data directory is refused with the reason", async () => {
  const directory = newDirectory();
  const store = await openSqliteStore({ directory });
  await commit(store, created());
  await expect(openSqliteStore({ directory })).rejects.toThrow(/in use by another server/);
  await store.close();
});

test("a data directory that can't be used is refused with the reason and the fix", async () => {
  const directory = newDirectory();
  writeFileSync(join(directory, "file"), "");
  await expect(openSqliteStore({ directory: join(directory, "file") })).rejects.toThrow(/name a data-dir/);
});

test("a file of a newer server is refused, not migrated down", async () => {
  const directory = newDirectory();
  const store = await openSqliteStore({ directory });
  await store.close();
  const db = openDatabase(join(directory, "holdfast.db"));
  db.exec("PRAGMA user_version = 2");
  db.close();
  await expect(openSqliteStore({ directory })).rejects.toThrow(/version 2/);
});

test("a batch that was over under an older server, which stored no end of it, ends when its file is opened", async () => {
  const directory = newDirectory();
  const id = "b" as BatchId;
  const before = await openSqliteStore({ directory });
  await before.createBatch({ id, closed: false, end: null, metadata: {}, createdAtMs: 1 });
  const { row } = await commit(before, created({ batchId: id }));
  const over = await commit(before, change({ ...row, status: "completed" }, "complete"));
  await before.closeBatch(id);
  await before.close();
  const db = openDatabase(join(directory, "holdfast.db"));
  db.exec("UPDATE batches SET row = json_remove(row, '$.end'); DELETE FROM milestones WHERE task_id = ':b'");
  db.close();
  for (const _ of ["ended here", "and only once"]) {
    const after = await openSqliteStore({ directory });
    const query = { after: over.row.position, limit: 9, endingsOnlyUpTo: 0 };
    const { milestones } = await after.readMilestones({ ...query, of: { batchId: id } });
    expect(milestones.map(({ event }) => event)).toEqual(["batchComplete"]);
    expect((await after.readBatch(id))?.end?.mark.position).toBe((await after.newest()).position);
    await after.close();
  }
});

test("the file is sound after use", async () => {
  const directory = newDirectory();
  const store = await openSqliteStore({ directory });
  for (let i = 0; i < 50; i += 1) {
    await commit(store, created());
  }
  await store.close();
  const db = openDatabase(join(directory, "holdfast.db"));
  expect(db.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  db.close();
});

test("a change that can't be stored fails alone, not those of the same turn", async () => {
  const store = await openSqliteStore({ directory: newDirectory() });
  const broken = created();
  const published: string[] = [];
  store.subscribe(({ row }) => published.push(row.id));
  const unwritable = { ...broken, row: { ...broken.row, metadata: { toJSON: () => JSON.parse("{") } } };
  const results = await Promise.allSettled([
    store.commit(created()),
    store.commit(unwritable as unknown as typeof broken),
    store.commit(created()),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
  const kept = (await store.listTasks({ limit: 9 })).map(({ id }) => id);
  expect(kept).toHaveLength(2);
  expect(published).toEqual(kept);
  await store.close();
});

test("what was let go of stays known after a crash, and so does the place where positions go on", async () => {
  const directory = newDirectory();
  const now = { ms: 1_000 };
  const before = await openSqliteStore({ directory, now: () => now.ms, historyPerTask: 2 });
  const first = await commit(before, created());
  const filled = await commit(before, change(first.row, "a", "b", "c"));
  const ended = await commit(before, change(filled.row, "complete"));
  now.ms += 10_000;
  expect(await before.trimMilestones(now.ms, 100)).toBe(false);
  await before.expireTask(ended.row.id); // and with it the newest milestone of all
  const other = join(newDirectory(), "copy");
  cpSync(directory, other, { recursive: true }); // as a process that was killed leaves it
  await before.close();
  const after = await openSqliteStore({ directory: other, now: () => 0 });
  expect(await after.newest()).toEqual({ cursor: ended.row.cursor, position: ended.row.position });
  expect(await after.locate(ended.row.cursor)).toBe(ended.row.position);
  const next = await commit(after, created());
  expect(next.row.position).toBeGreaterThan(ended.row.position);
  expect(Number(next.row.cursor.split("-")[1])).toBeGreaterThanOrEqual(1_000);
  await after.close();
});

test("a transaction that is rolled back lets go of nothing", async () => {
  const store = await openSqliteStore({ directory: newDirectory(), historyPerTask: 2 });
  const { row } = await commit(store, created());
  const filled = await commit(store, change(row, "a"));
  const broken = {
    ...created(),
    milestones: [{ event: null as unknown as string, data: "{}", ending: false }],
  };
  // Both are rolled back together; then the first is committed alone.
  await Promise.allSettled([store.commit(change(filled.row, "b")), store.commit(broken)]);
  const of = { taskIds: [row.id] };
  const page = await store.readMilestones({ of, after: 0, limit: 10, endingsOnlyUpTo: 0 });
  expect(page.milestones.map(({ event }) => event)).toEqual(["a", "b"]);
  expect(page.trimmed).toEqual({ cursor: row.cursor, position: row.position });
  await store.close();
});
