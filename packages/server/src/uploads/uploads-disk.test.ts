/**
 * Uploads without HTTP: what disks and stores in trouble do to them, and they to disks.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { expect, test, vi } from "vitest";
import type { BlobStore } from "../blobs/blob-store.js";
import { FileBlobStore } from "../blobs/file-blob-store.js";
import { HoldfastError } from "../errors.js";
import { MemoryStore } from "../stores/memory-store.js";
import { bytes, create, useUploads, wrap } from "./uploads.test.kit.js";

const fixture = useUploads();

test("a one-shot upload that a crash cut before its first byte was stored has failed as well", async () => {
  const uploads = fixture.start();
  const { id } = await create(uploads, null);
  await fixture.service.tasks.command(id, { type: "begin", oneShot: true });
  await fixture.start().recover(await fixture.service.store.listReceiving());
  expect(await fixture.service.tasks.read(id)).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE", retryable: true },
  });
});

test("a full disk is said, what was stored stays, and the upload goes on when there is space", async () => {
  const files = new FileBlobStore(fixture.directory);
  let room = 4;
  const small = wrap(files, {
    append: async (key, source, options) => {
      const text = (await source.toArray()).join("");
      const stored = await files.append(key, Readable.from([text.slice(0, room)]), options);
      if (text.length > room) throw new HoldfastError("INSUFFICIENT_STORAGE", "no space left on the device");
      return stored;
    },
  });
  const uploads = fixture.start(small);
  const row = await create(uploads);
  await expect(uploads.take(row.id, bytes("0123456789"))).rejects.toMatchObject({
    code: "INSUFFICIENT_STORAGE",
  });
  expect(await fixture.service.tasks.read(row.id)).toMatchObject({ status: "uploading", done: 4 });
  room = 100;
  await uploads.take(row.id, bytes("456789", { offset: 4 }));
  expect(readFileSync(fixture.path(row), "utf8")).toBe("0123456789");
});

test("a directory that can't be written refuses the bytes, and the upload goes on when it can", async () => {
  writeFileSync(join(fixture.directory, "file"), "");
  const uploads = fixture.start(new FileBlobStore(join(fixture.directory, "file")));
  const { id } = await create(uploads, null);
  await expect(uploads.take(id, bytes("abc"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  rmSync(join(fixture.directory, "file"));
  await uploads.take(id, bytes("abc"));
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "uploading", done: 3 });
});

test("what was stored right before a stall is told, and not only when the next byte comes", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  const source = new PassThrough();
  const taking = uploads.take(row.id, bytes("0123456789", { source, isWhole: () => false }));
  const stalled = new Promise<void>((resolve) => {
    const off = fixture.service.tasks.onRow(({ done }) => {
      if (done === 3) source.write("34");
      if (done !== 5) return;
      off();
      resolve();
    });
  });
  source.write("012");
  await stalled;
  source.destroy();
  expect(await taking).toMatchObject({ done: 5 });
});

test("a disk that takes longer to begin than a client may be silent costs no byte that has come", async () => {
  const files = new FileBlobStore(fixture.directory);
  const silenceMs = 5;
  const slow = wrap(files, {
    append: async (key, source, options) => {
      for (let silences = 0; silences < 4; silences += 1) {
        await new Promise((resolve) => void setTimeout(resolve, silenceMs));
      }
      return await files.append(key, source, options);
    },
  });
  const uploads = fixture.start(slow, { readTimeoutMs: silenceMs });
  const row = await create(uploads);
  expect((await uploads.take(row.id, bytes("0123456789"))).status).toBe("completed");
});

test("a one-shot that the disk can't hold has failed, and has given its room back", async () => {
  const files = new FileBlobStore(fixture.directory);
  const broken: BlobStore = wrap(files, {
    append: async () => {
      throw new HoldfastError("INSUFFICIENT_STORAGE", "no space left on the device");
    },
  });
  const uploads = fixture.start(broken);
  const row = await create(uploads);
  await expect(uploads.take(row.id, bytes("0123456789", { kind: "one-shot" }))).rejects.toMatchObject({
    code: "INSUFFICIENT_STORAGE",
  });
  expect(await fixture.service.tasks.read(row.id)).toMatchObject({
    status: "failed",
    error: { code: "STORAGE_FAILED" },
  });
  expect(await files.length(row.blobKey ?? "")).toBe(0);
});

test("small chunks look at min-free-disk as well as one long body", async () => {
  let free = 1_000;
  const uploads = fixture.start(wrap(new FileBlobStore(fixture.directory), { freeBytes: async () => free }), {
    minFreeDiskBytes: 100,
  });
  const row = await create(uploads);
  await uploads.take(row.id, bytes("01234"));
  free = 99;
  await expect(uploads.take(row.id, bytes("56789", { offset: 5 }))).rejects.toMatchObject({
    code: "INSUFFICIENT_STORAGE",
  });
  free = 101;
  expect((await uploads.take(row.id, bytes("56789", { offset: 5 }))).status).toBe("completed");
});

test("what has all its bytes is completed, also when the store was out of order as the last one came", async () => {
  const uploads = fixture.start();
  const { id } = await create(uploads);
  await uploads.take(id, bytes("01234"));
  const unavailable = new HoldfastError("STORE_UNAVAILABLE", "the store did not take the change");
  const commit = vi.spyOn(fixture.service.store, "commit").mockRejectedValue(unavailable);
  await expect(uploads.take(id, bytes("56789", { offset: 5 }))).rejects.toBe(unavailable);
  await expect(uploads.finishLeft()).rejects.toBe(unavailable);
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "uploading", done: 10 });
  commit.mockRestore();
  await uploads.finishLeft();
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
});

test("on a disk too full for the ending, the bytes of what is cancelled make room for it", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  await uploads.take(row.id, bytes("01234"));
  const commit = vi.spyOn(fixture.service.store, "commit");
  commit.mockImplementation(async (one) => {
    if (existsSync(fixture.path(row))) throw new HoldfastError("INSUFFICIENT_STORAGE", "the disk is full");
    return await MemoryStore.prototype.commit.call(fixture.service.store, one);
  });
  expect(await uploads.cancel(row.id, null)).toMatchObject({ status: "cancelled" });
  expect(existsSync(fixture.path(row))).toBe(false);
});
