import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openDatabase } from "./sqlite-driver.js";
import { openSqliteStore } from "./sqlite-store.js";
import { change, commit, created, storeSuite } from "./store-suite.js";

const directories: string[] = [];

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-store-"));
  directories.push(directory);
  return directory;
}

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

storeSuite("the embedded store", async () => {
  const now = { ms: 1_000 };
  const store = await openSqliteStore({ directory: newDirectory(), now: () => now.ms });
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
