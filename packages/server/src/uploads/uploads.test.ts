/**
 * Uploads without HTTP: what a start finds after a crash, and what a disk can do.
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { BlobStore } from "../blobs/blob-store.js";
import { FileBlobStore } from "../blobs/file-blob-store.js";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import { Service, settled } from "../testing/service.js";
import type { Incoming } from "./incoming.js";
import { Uploads, type UploadSettings } from "./uploads.js";

const SETTINGS: UploadSettings = { maxUploadBytes: null, minFreeDiskBytes: 0, readTimeoutMs: 60_000 };

let directory: string;
let service: Service;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-uploads-"));
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  await service.close();
  rmSync(directory, { recursive: true, force: true });
});

function start(
  blobs: BlobStore = new FileBlobStore(directory),
  settings: Partial<UploadSettings> = {},
): Uploads {
  return new Uploads({
    tasks: service.tasks,
    blobs,
    settings: { ...SETTINGS, ...settings },
    onError: (error) => service.errors.push(error),
  });
}

async function create(uploads: Uploads, total: number | null = 10): Promise<TaskRow> {
  return await uploads.create({
    filename: "f",
    total,
    metadata: {},
    batchId: null,
    processing: "none",
    tusMetadata: null,
  });
}

function bytes(text: string, fields: Partial<Incoming> = {}): Incoming {
  const source = Readable.from([Buffer.from(text)]);
  return {
    kind: "tus",
    source,
    offset: 0,
    length: text.length,
    isWhole: () => source.readableEnded,
    ...fields,
  };
}

/** A disk that behaves otherwise in what is named. */
function wrap(blobs: BlobStore, other: Partial<BlobStore>): BlobStore {
  return {
    length: async (key) => await blobs.length(key),
    append: async (key, source, options) => await blobs.append(key, source, options),
    sync: async (key) => await blobs.sync(key),
    read: (key, range) => blobs.read(key, range),
    remove: async (key) => await blobs.remove(key),
    freeBytes: async () => await blobs.freeBytes(),
    ...other,
  };
}

function path(row: TaskRow): string {
  return join(directory, row.blobKey?.slice(0, 2) ?? "", row.blobKey ?? "");
}

test("a crash between the last byte and the ending loses neither: the next start completes the upload", async () => {
  const uploads = start();
  const { id, ...row } = await create(uploads);
  await uploads.take(id, bytes("01234"));
  writeFileSync(path({ id, ...row }), "0123456789"); // stored, but the process died before it said so
  const { sink } = await service.watch(id);
  await start().recover(await service.store.listReceiving());
  await settled();
  expect(await service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
  expect(sink.events.filter((event) => event === "complete")).toHaveLength(1);
  await start().recover(await service.store.listReceiving());
  expect(sink.events.filter((event) => event === "complete")).toHaveLength(1);
});

test("after a crash the file says how far an upload is, whichever way the row differs", async () => {
  const uploads = start();
  const row = await create(uploads);
  await uploads.take(row.id, bytes("01234"));
  for (const text of ["0123456", "012"]) {
    writeFileSync(path(row), text);
    await start().recover(await service.store.listReceiving());
    expect(await service.tasks.read(row.id)).toMatchObject({ status: "uploading", done: text.length });
  }
  await start().take(row.id, bytes("3456789", { offset: 3 }));
  expect(readFileSync(path(row), "utf8")).toBe("0123456789");
  expect((await service.tasks.read(row.id)).status).toBe("completed");
});

test("a one-shot upload that a crash cut has failed; a resumable one goes on", async () => {
  const uploads = start();
  const shot = await create(uploads, null);
  const source = new PassThrough();
  const taking = uploads.take(shot.id, {
    kind: "one-shot",
    source,
    offset: 0,
    length: null,
    isWhole: () => false,
  });
  source.write("abc");
  while ((await service.tasks.read(shot.id)).done < 3) await settled();
  await start().recover(await service.store.listReceiving());
  expect(await service.tasks.read(shot.id)).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE", retryable: true },
  });
  source.end();
  await expect(taking).rejects.toMatchObject({ code: "TASK_ENDED" });
});

test("a one-shot upload that a crash cut before its first byte was stored has failed as well", async () => {
  const uploads = start();
  const { id } = await create(uploads, null);
  await service.tasks.command(id, { type: "begin", oneShot: true });
  await start().recover(await service.store.listReceiving());
  expect(await service.tasks.read(id)).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE", retryable: true },
  });
});

test("an upload whose file is longer than announced is told as damaged, not as complete", async () => {
  const uploads = start();
  const { id, ...row } = await create(uploads);
  await uploads.take(id, bytes("abc"));
  writeFileSync(path({ id, ...row }), "0123456789abc");
  await start().recover(await service.store.listReceiving());
  expect(await service.tasks.read(id)).toMatchObject({ status: "failed", error: { code: "UPLOAD_DAMAGED" } });
});

test("an upload whose file is gone begins again", async () => {
  const uploads = start();
  const { id, ...row } = await create(uploads);
  await uploads.take(id, bytes("abc"));
  rmSync(path({ id, ...row }));
  await start().recover(await service.store.listReceiving());
  expect(await service.tasks.read(id)).toMatchObject({ status: "uploading", done: 0 });
  await uploads.take(id, bytes("0123456789"));
  expect(await service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
});

test("a full disk is said, what was stored stays, and the upload goes on when there is space", async () => {
  const files = new FileBlobStore(directory);
  let room = 4;
  const small = wrap(files, {
    append: async (key, source, options) => {
      const text = (await source.toArray()).join("");
      const stored = await files.append(key, Readable.from([text.slice(0, room)]), options);
      if (text.length > room) throw new HoldfastError("INSUFFICIENT_STORAGE", "no space left on the device");
      return stored;
    },
  });
  const uploads = start(small);
  const row = await create(uploads);
  await expect(uploads.take(row.id, bytes("0123456789"))).rejects.toMatchObject({
    code: "INSUFFICIENT_STORAGE",
  });
  expect(await service.tasks.read(row.id)).toMatchObject({ status: "uploading", done: 4 });
  room = 100;
  await uploads.take(row.id, bytes("456789", { offset: 4 }));
  expect(readFileSync(path(row), "utf8")).toBe("0123456789");
});

test("a directory that can't be written refuses the bytes, and the upload goes on when it can", async () => {
  writeFileSync(join(directory, "file"), "");
  const uploads = start(new FileBlobStore(join(directory, "file")));
  const { id } = await create(uploads, null);
  await expect(uploads.take(id, bytes("abc"))).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  rmSync(join(directory, "file"));
  await uploads.take(id, bytes("abc"));
  expect(await service.tasks.read(id)).toMatchObject({ status: "uploading", done: 3 });
});

test("a crash right after the creation loses nothing: the upload begins where it was", async () => {
  const uploads = start();
  const { id } = await create(uploads);
  await start().recover(await service.store.listReceiving());
  expect(await service.tasks.read(id)).toMatchObject({ status: "pending", done: 0 });
  await uploads.take(id, bytes("0123456789"));
  expect(await service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
});

test("an upload of somebody's id leaves no bytes behind when the id is taken", async () => {
  const uploads = start();
  const { id } = await create(uploads);
  const again = {
    id,
    filename: "f",
    total: 1,
    metadata: {},
    batchId: null,
    processing: "none",
    tusMetadata: null,
  } as const;
  await expect(uploads.create(again)).rejects.toMatchObject({ code: "ID_TAKEN" });
  expect(await service.tasks.list({ limit: 9 })).toHaveLength(1);
});

test("a parked service takes no new bytes, and stops the ones that come when the grace is over", async () => {
  const uploads = start();
  const row = await create(uploads);
  const source = new PassThrough();
  const taking = uploads.take(row.id, {
    kind: "tus",
    source,
    offset: 0,
    length: 10,
    isWhole: () => false,
  });
  source.write("abc");
  while ((await service.tasks.read(row.id)).done < 3) await settled();
  const [stopped] = await Promise.allSettled([taking, uploads.park(10)]);
  expect(stopped).toMatchObject({ status: "rejected", reason: { code: "DRAINING" } });
  expect(await service.tasks.read(row.id)).toMatchObject({ status: "uploading", done: 3 });
  await expect(uploads.take(row.id, bytes("x", { offset: 3 }))).rejects.toMatchObject({ code: "DRAINING" });
  await expect(create(uploads)).rejects.toMatchObject({ code: "DRAINING" });
});

test("what was stored right before a stall is told, and not only when the next byte comes", async () => {
  const uploads = start();
  const row = await create(uploads);
  const source = new PassThrough();
  const taking = uploads.take(row.id, bytes("0123456789", { source, isWhole: () => false }));
  const stalled = new Promise<void>((resolve) => {
    const off = service.tasks.onRow(({ done }) => {
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

test("a client that left before its bytes were taken is not waited for", async () => {
  const uploads = start();
  const row = await create(uploads);
  const source = new PassThrough();
  source.destroy();
  await settled();
  const gone = { source, isWhole: () => false };
  expect(await uploads.take(row.id, bytes("0123456789", gone))).toMatchObject({ done: 0 });
  await expect(
    uploads.take(row.id, bytes("0123456789", { ...gone, kind: "one-shot", length: null })),
  ).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  expect((await service.tasks.read(row.id)).error).toMatchObject({ code: "UPLOAD_INCOMPLETE" });
  expect(uploads.locks.size).toBe(0);
});

test("a request at an offset that can't be right does not stop the writer", async () => {
  const uploads = start();
  const row = await create(uploads);
  const source = new PassThrough();
  const taking = uploads.take(row.id, bytes("0123456789", { source, isWhole: () => source.readableEnded }));
  source.write("01234");
  while ((await service.tasks.read(row.id)).done < 5) await settled();
  await expect(uploads.take(row.id, bytes("0123456789"))).rejects.toMatchObject({ code: "OFFSET_MISMATCH" });
  source.end("56789");
  expect((await taking).status).toBe("completed");
  expect(readFileSync(path(row), "utf8")).toBe("0123456789");
});

test("nobody takes a one-shot's upload from it, and the one who tries loses nothing of it", async () => {
  const uploads = start();
  const row = await create(uploads, null);
  const source = new PassThrough();
  const shot = { source, length: null, isWhole: () => source.readableEnded, kind: "one-shot" } as const;
  const taking = uploads.take(row.id, bytes("", shot));
  source.write("01234");
  while ((await service.tasks.read(row.id)).done < 5) await settled();
  for (const offset of [5, 9]) {
    await expect(uploads.take(row.id, bytes("56789", { offset }))).rejects.toMatchObject({
      code: "UPLOAD_LOCKED",
    });
  }
  source.end("56789");
  expect(await taking).toMatchObject({ status: "completed", done: 10 });
});

test("whoever loses the upload to a newer request hears that it is not whole", async () => {
  const uploads = start();
  const row = await create(uploads);
  const source = new PassThrough();
  const older = uploads.take(row.id, bytes("0123456789", { source, kind: "whole", isWhole: () => false }));
  source.write("01234");
  while ((await service.tasks.read(row.id)).done < 5) await settled();
  const newer = uploads.take(row.id, bytes("56789", { offset: 5 }));
  await expect(older).rejects.toMatchObject({ code: "UPLOAD_LOCKED" });
  expect((await newer).status).toBe("completed");
});

test("a one-shot that the disk can't hold has failed, and has given its room back", async () => {
  const files = new FileBlobStore(directory);
  const broken: BlobStore = wrap(files, {
    append: async () => {
      throw new HoldfastError("INSUFFICIENT_STORAGE", "no space left on the device");
    },
  });
  const uploads = start(broken);
  const row = await create(uploads);
  await expect(uploads.take(row.id, bytes("0123456789", { kind: "one-shot" }))).rejects.toMatchObject({
    code: "INSUFFICIENT_STORAGE",
  });
  expect(await service.tasks.read(row.id)).toMatchObject({
    status: "failed",
    error: { code: "STORAGE_FAILED" },
  });
  expect(await files.length(row.blobKey ?? "")).toBe(0);
});

test("small chunks look at min-free-disk as well as one long body", async () => {
  let free = 1_000;
  const uploads = start(wrap(new FileBlobStore(directory), { freeBytes: async () => free }), {
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

test("removing content that a crash cut in two is finished by removing it again", async () => {
  const files = new FileBlobStore(directory);
  const uploads = start(files);
  const row = await create(uploads);
  await uploads.take(row.id, bytes("0123456789"));
  rmSync(path(row)); // the bytes went, and the process died before the row was told
  expect((await uploads.removeContent(row.id)).blobKey).toBeNull();
});

test("a blob that is not as long as the row says is not written to", async () => {
  const uploads = start();
  const row = await create(uploads);
  await uploads.take(row.id, bytes("01234"));
  truncateSync(path(row), 2);
  await expect(uploads.take(row.id, bytes("56789", { offset: 5 }))).rejects.toMatchObject({
    code: "OFFSET_MISMATCH",
  });
  expect(readFileSync(path(row), "utf8")).toBe("01");
});
