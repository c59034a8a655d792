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
import { Uploads, type Incoming, type UploadSettings } from "./uploads.js";

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
    source,
    length: text.length,
    isWhole: () => source.readableEnded,
    isLast: false,
    oneShot: false,
    ...fields,
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
    source,
    length: null,
    isWhole: () => false,
    isLast: true,
    oneShot: true,
  });
  source.write("abc");
  while ((await service.tasks.read(shot.id)).done < 3) await settled();
  await start().recover(await service.store.listReceiving());
  expect(await service.tasks.read(shot.id)).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE", retryable: true },
  });
  source.end();
  await taking;
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

test("an upload whose file is missing or longer than announced is told as damaged, not as complete", async () => {
  const uploads = start();
  const gone = await create(uploads);
  const long = await create(uploads);
  await uploads.take(gone.id, bytes("abc"));
  rmSync(path(gone));
  writeFileSync(path(long), "0123456789abc");
  await start().recover(await service.store.listReceiving());
  for (const { id } of [gone, long]) {
    expect(await service.tasks.read(id)).toMatchObject({
      status: "failed",
      error: { code: "UPLOAD_DAMAGED" },
    });
  }
});

test("a full disk is said, what was stored stays, and the upload goes on when there is space", async () => {
  const files = new FileBlobStore(directory);
  let room = 4;
  const small: BlobStore = Object.assign(Object.create(files) as FileBlobStore, {
    append: async (
      key: string,
      source: Readable,
      options: Parameters<BlobStore["append"]>[2],
    ): Promise<number> => {
      const text = (await source.toArray()).join("");
      const stored = await files.append(key, Readable.from([text.slice(0, room)]), options);
      if (text.length > room) throw new HoldfastError("INSUFFICIENT_STORAGE", "no space left on the device");
      return stored;
    },
    length: async (key: string) => await files.length(key),
    create: async (key: string) => await files.create(key),
    sync: async (key: string) => await files.sync(key),
    freeBytes: async () => await files.freeBytes(),
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

test("a directory that may not be written is a refusal, and no task is left behind", async () => {
  writeFileSync(join(directory, "file"), "");
  const uploads = start(new FileBlobStore(join(directory, "file")));
  await expect(create(uploads, null)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
  expect(await service.tasks.list({ limit: 9 })).toEqual([]);
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
    source,
    length: 10,
    isWhole: () => false,
    isLast: false,
    oneShot: false,
  });
  source.write("abc");
  while ((await service.tasks.read(row.id)).done < 3) await settled();
  await uploads.park(10);
  expect(await taking).toMatchObject({ status: "uploading", done: 3 });
  await expect(uploads.take(row.id, bytes("x"))).rejects.toMatchObject({ code: "DRAINING" });
  await expect(create(uploads)).rejects.toMatchObject({ code: "DRAINING" });
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
