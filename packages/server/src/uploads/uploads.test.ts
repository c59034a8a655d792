/**
 * Uploads without HTTP: what a start finds after a crash, and what writers and watchers do to each other.
 */
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { FileBlobStore } from "../blobs/file-blob-store.js";
import { settled } from "../testing/service.js";
import { bytes, create, useUploads } from "./uploads.test.kit.js";

const fixture = useUploads();

test("a crash between the last byte and the ending loses neither: the next start completes the upload", async () => {
  const uploads = fixture.start();
  const { id, ...row } = await create(uploads);
  await uploads.take(id, bytes("01234"));
  writeFileSync(fixture.path({ id, ...row }), "0123456789"); // stored, but the process died before it said so
  const { sink } = await fixture.service.watch(id);
  await fixture.start().recover(await fixture.service.store.listReceiving());
  await settled();
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
  expect(sink.events.filter((event) => event === "complete")).toHaveLength(1);
  await fixture.start().recover(await fixture.service.store.listReceiving());
  expect(sink.events.filter((event) => event === "complete")).toHaveLength(1);
});

test("after a crash the file says how far an upload is, whichever way the row differs", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  await uploads.take(row.id, bytes("01234"));
  for (const text of ["0123456", "012"]) {
    writeFileSync(fixture.path(row), text);
    await fixture.start().recover(await fixture.service.store.listReceiving());
    expect(await fixture.service.tasks.read(row.id)).toMatchObject({
      status: "uploading",
      done: text.length,
    });
  }
  await fixture.start().take(row.id, bytes("3456789", { offset: 3 }));
  expect(readFileSync(fixture.path(row), "utf8")).toBe("0123456789");
  expect((await fixture.service.tasks.read(row.id)).status).toBe("completed");
});

test("a one-shot upload that a crash cut has failed; a resumable one goes on", async () => {
  const uploads = fixture.start();
  const shot = await create(uploads, null);
  const source = new PassThrough();
  const taking = uploads.take(shot.id, {
    kind: "one-shot",
    source,
    offset: 0,
    length: null,
    total: null,
    isWhole: () => false,
  });
  source.write("abc");
  while ((await fixture.service.tasks.read(shot.id)).done < 3) await settled();
  await fixture.start().recover(await fixture.service.store.listReceiving());
  expect(await fixture.service.tasks.read(shot.id)).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE", retryable: true },
  });
  source.end();
  await expect(taking).rejects.toMatchObject({ code: "TASK_ENDED" });
});

test("an upload whose file is longer than announced is told as damaged, not as complete", async () => {
  const uploads = fixture.start();
  const { id, ...row } = await create(uploads);
  await uploads.take(id, bytes("abc"));
  writeFileSync(fixture.path({ id, ...row }), "0123456789abc");
  await fixture.start().recover(await fixture.service.store.listReceiving());
  expect(await fixture.service.tasks.read(id)).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_DAMAGED" },
  });
});

test("an upload whose file is gone begins again", async () => {
  const uploads = fixture.start();
  const { id, ...row } = await create(uploads);
  await uploads.take(id, bytes("abc"));
  rmSync(fixture.path({ id, ...row }));
  await fixture.start().recover(await fixture.service.store.listReceiving());
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "uploading", done: 0 });
  await uploads.take(id, bytes("0123456789"));
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
});

test("a crash right after the creation loses nothing: the upload begins where it was", async () => {
  const uploads = fixture.start();
  const { id } = await create(uploads);
  await fixture.start().recover(await fixture.service.store.listReceiving());
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "pending", done: 0 });
  await uploads.take(id, bytes("0123456789"));
  expect(await fixture.service.tasks.read(id)).toMatchObject({ status: "completed", done: 10 });
});

test("an upload of somebody's id leaves no bytes behind when the id is taken", async () => {
  const uploads = fixture.start();
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
  expect(await fixture.service.tasks.list({ limit: 9 })).toHaveLength(1);
});

test("a parked service takes no new bytes, and stops the ones that come when the grace is over", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  const source = new PassThrough();
  const taking = uploads.take(row.id, {
    kind: "tus",
    source,
    offset: 0,
    length: 10,
    total: null,
    isWhole: () => false,
  });
  source.write("abc");
  while ((await fixture.service.tasks.read(row.id)).done < 3) await settled();
  const [stopped] = await Promise.allSettled([taking, uploads.park(10)]);
  expect(stopped).toMatchObject({ status: "rejected", reason: { code: "DRAINING" } });
  expect(await fixture.service.tasks.read(row.id)).toMatchObject({ status: "uploading", done: 3 });
  await expect(uploads.take(row.id, bytes("x", { offset: 3 }))).rejects.toMatchObject({ code: "DRAINING" });
  await expect(create(uploads)).rejects.toMatchObject({ code: "DRAINING" });
});

test("a client that left before its bytes were taken is not waited for", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  const source = new PassThrough();
  source.destroy();
  await settled();
  const gone = { source, isWhole: () => false };
  expect(await uploads.take(row.id, bytes("0123456789", gone))).toMatchObject({ done: 0 });
  await expect(
    uploads.take(row.id, bytes("0123456789", { ...gone, kind: "one-shot", length: null })),
  ).rejects.toMatchObject({ code: "INVALID_REQUEST" });
  expect((await fixture.service.tasks.read(row.id)).error).toMatchObject({ code: "UPLOAD_INCOMPLETE" });
  await expect.poll(() => uploads.locks.size).toBe(0);
});

test("a request at an offset that can't be right does not stop the writer", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  const source = new PassThrough();
  const taking = uploads.take(row.id, bytes("0123456789", { source, isWhole: () => source.readableEnded }));
  source.write("01234");
  while ((await fixture.service.tasks.read(row.id)).done < 5) await settled();
  await expect(uploads.take(row.id, bytes("0123456789"))).rejects.toMatchObject({ code: "OFFSET_MISMATCH" });
  source.end("56789");
  expect((await taking).status).toBe("completed");
  expect(readFileSync(fixture.path(row), "utf8")).toBe("0123456789");
});

test("nobody takes a one-shot's upload from it, and the one who tries loses nothing of it", async () => {
  const uploads = fixture.start();
  const row = await create(uploads, null);
  const source = new PassThrough();
  const shot = { source, length: null, isWhole: () => source.readableEnded, kind: "one-shot" } as const;
  const taking = uploads.take(row.id, bytes("", shot));
  source.write("01234");
  while ((await fixture.service.tasks.read(row.id)).done < 5) await settled();
  for (const offset of [5, 9]) {
    await expect(uploads.take(row.id, bytes("56789", { offset }))).rejects.toMatchObject({
      code: "UPLOAD_LOCKED",
    });
  }
  source.end("56789");
  expect(await taking).toMatchObject({ status: "completed", done: 10 });
});

test("whoever loses the upload to a newer request hears that it is not whole", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  const source = new PassThrough();
  const older = uploads.take(row.id, bytes("0123456789", { source, kind: "whole", isWhole: () => false }));
  source.write("01234");
  while ((await fixture.service.tasks.read(row.id)).done < 5) await settled();
  const newer = uploads.take(row.id, bytes("56789", { offset: 5 }));
  await expect(older).rejects.toMatchObject({ code: "UPLOAD_LOCKED" });
  expect((await newer).status).toBe("completed");
});

test("removing content that a crash cut in two is finished by removing it again", async () => {
  const files = new FileBlobStore(fixture.directory);
  const uploads = fixture.start(files);
  const row = await create(uploads);
  await uploads.take(row.id, bytes("0123456789"));
  rmSync(fixture.path(row)); // the bytes went, and the process died before the row was told
  expect((await uploads.removeContent(row.id)).blobKey).toBeNull();
});

test("a blob that is not as long as the row says is not written to", async () => {
  const uploads = fixture.start();
  const row = await create(uploads);
  await uploads.take(row.id, bytes("01234"));
  truncateSync(fixture.path(row), 2);
  await expect(uploads.take(row.id, bytes("56789", { offset: 5 }))).rejects.toMatchObject({
    code: "OFFSET_MISMATCH",
  });
  expect(readFileSync(fixture.path(row), "utf8")).toBe("01");
});

test("whoever fails an upload, its bytes go", async () => {
  const uploads = fixture.start();
  const expired = await create(uploads);
  await uploads.take(expired.id, bytes("abc"));
  const worked = await create(uploads, 10, "external");
  await uploads.take(worked.id, bytes("0123456789"));
  expect([existsSync(fixture.path(expired)), existsSync(fixture.path(worked))]).toEqual([true, true]);
  fixture.service.clock.nowMs += 86_400_001;
  await fixture.service.tasks.command(expired.id, { type: "lapse" });
  const failed = { type: "fail", code: "BAD_FILE", message: "no video in it", retryable: false } as const;
  await fixture.service.tasks.command(worked.id, { type: "report", report: failed });
  await settled();
  await expect
    .poll(() => [existsSync(fixture.path(expired)), existsSync(fixture.path(worked))])
    .toEqual([false, false]);
});
