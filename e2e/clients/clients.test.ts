/**
 * The clients that people have: tus-js-client, Uppy, our own, against a server that runs.
 */
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { HoldfastApi, watchBatch, watchTask, type Task } from "@holdfast/client";
import { upload } from "@holdfast/client/upload";
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";
import { Upload } from "tus-js-client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

let server: ServerProcess;
let url: string;
const { dataDir, remove } = makeDataDir();

beforeAll(async () => {
  ({ server, url } = await ServerProcess.start({
    dataDir,
    flags: ["--progress-interval=50ms", "--max-upload-size=64MiB"],
  }));
});

afterAll(async () => {
  expect((await server.stop()).code).toBe(0);
  remove();
});

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

async function stored(id: string): Promise<{ task: Task; hash: string }> {
  const task = (await (await fetch(`${url}/api/v1/uploads/${id}`)).json()) as Task;
  const content = await fetch(`${url}/api/v1/uploads/${id}/content`);
  return { task, hash: sha256(new Uint8Array(await content.arrayBuffer())) };
}

const idOf = (uploadUrl: string | null | undefined): string => uploadUrl?.split("/").at(-1) ?? "";

test.each([
  ["in one request", {}],
  ["in chunks", { chunkSize: 1_048_576 }],
  ["with its bytes in the creation", { uploadDataDuringCreation: true }],
  ["with a length said last", { chunkSize: 1_048_576, uploadLengthDeferred: true }],
])("tus-js-client uploads %s", async (_name, options) => {
  const bytes = randomBytes(5_000_000);
  const deferred = "uploadLengthDeferred" in options;
  const uploadUrl = await new Promise<string | null>((resolve, reject) => {
    const client = new Upload(deferred ? Readable.from([bytes]) : bytes, {
      endpoint: `${url}/api/v1/uploads`,
      metadata: { filename: "clip.mov", filetype: "video/quicktime" },
      retryDelays: null,
      onError: reject,
      onSuccess: () => resolve(client.url),
      ...options,
    });
    client.start();
  });
  const { task, hash } = await stored(idOf(uploadUrl));
  expect(task).toMatchObject({ status: "completed", uploaded: bytes.length, filename: "clip.mov" });
  expect(hash).toBe(sha256(bytes));
});

test("tus-js-client goes on where it was cut, and terminates what it gives up", async () => {
  const bytes = randomBytes(8_000_000);
  const options = { endpoint: `${url}/api/v1/uploads`, chunkSize: 1_048_576, retryDelays: null };
  const cut = new Upload(bytes, {
    ...options,
    onChunkComplete: (_size, accepted) => {
      if (accepted >= 3_000_000) void cut.abort();
    },
  });
  cut.start();
  await expect
    .poll(() => cut.url !== null && fetch(cut.url).then(async (answer) => (await answer.json()) as Task), {
      timeout: 10_000,
    })
    .toMatchObject({ status: "uploading" });
  await expect
    .poll(async () => ((await (await fetch(cut.url ?? "")).json()) as Task).uploaded, { timeout: 10_000 })
    .toBeGreaterThanOrEqual(3_000_000);
  const sent: number[] = [];
  await new Promise<void>((resolve, reject) => {
    new Upload(bytes, {
      ...options,
      uploadUrl: cut.url,
      onProgress: (bytesSent) => sent.push(bytesSent),
      onError: reject,
      onSuccess: () => resolve(),
    }).start();
  });
  expect(Math.min(...sent)).toBeGreaterThanOrEqual(3_000_000);
  expect((await stored(idOf(cut.url))).hash).toBe(sha256(bytes));

  const given = new Upload(bytes, { ...options, onChunkComplete: () => void given.abort(true) });
  given.start();
  await expect
    .poll(async () => given.url !== null && ((await (await fetch(given.url)).json()) as Task).status, {
      timeout: 10_000,
    })
    .toBe("cancelled");
});

test("Uppy uploads several files into a batch", async () => {
  const uppy = new Uppy({ meta: { batchId: "uppy" }, autoProceed: false });
  uppy.use(Tus, {
    endpoint: `${url}/api/v1/uploads`,
    chunkSize: 1_048_576,
    allowedMetaFields: ["name", "batchId"],
  });
  const files = Array.from({ length: 4 }, (_, index) => ({
    name: `f${index}.bin`,
    bytes: randomBytes(2_000_000 + index),
  }));
  for (const { name, bytes } of files) {
    // In Node the tus client reads buffers, and Uppy asks them for a size as it asks a File.
    const data = Object.assign(bytes, { size: bytes.length }) as unknown as Blob;
    uppy.addFile({ name, type: "application/octet-stream", data });
  }
  const watching = watchBatch("uppy", { baseUrl: `${url}/api/v1` });
  watching.done.catch(() => undefined);
  const result = await uppy.upload();
  expect(result?.failed).toEqual([]);
  const hashes = await Promise.all(
    (result?.successful ?? []).map(async ({ uploadURL }) => (await stored(idOf(uploadURL))).hash),
  );
  expect(hashes.toSorted()).toEqual(files.map(({ bytes }) => sha256(bytes)).toSorted());
  const api = new HoldfastApi({ baseUrl: `${url}/api/v1` });
  await api.closeBatch("uppy");
  expect(await api.batch("uppy")).toMatchObject({ tasks: 4, completed: 4, percentage: 100 });
  watching.close();
});

test("our upload is watched from its first byte to its ending, in order", async () => {
  const bytes = randomBytes(20_000_000);
  const sent = upload(bytes, { baseUrl: `${url}/api/v1`, filename: "own.bin", chunkSize: 1_000_000 });
  const id = await sent.id;
  const watch = watchTask(id, { baseUrl: `${url}/api/v1` });
  const seen: number[] = [];
  const types: string[] = [];
  for await (const event of watch) {
    types.push(event.type);
    if (event.type === "progress") seen.push(event.data.uploaded);
  }
  const ending = await watch.ending;
  expect(ending.type).toBe("complete");
  expect((await sent.done).status).toBe("completed");
  expect(types.filter((type) => type === "complete")).toHaveLength(1);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect((await stored(id)).hash).toBe(sha256(bytes));
});

test("an upload that is too large is refused to our client with the server's own words", async () => {
  const sent = upload(Buffer.alloc(65 * 1_048_576), { baseUrl: `${url}/api/v1`, filename: "huge.bin" });
  await expect(sent.id).rejects.toMatchObject({ problem: { code: "UPLOAD_TOO_LARGE" } });
  await expect(sent.done).rejects.toMatchObject({ problem: { code: "UPLOAD_TOO_LARGE" } });
});

test("who watches a task that has ended hears its ending, and a task that never was is an error", async () => {
  const { headers } = await fetch(`${url}/api/v1/tasks`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ id: "ended" }),
  });
  expect(headers.get("location")).toBe("/api/v1/tasks/ended");
  await fetch(`${url}/api/v1/tasks/ended`, { method: "DELETE" });
  const ending = await watchTask("ended", { baseUrl: `${url}/api/v1` }).ending;
  expect(ending.type).toBe("cancelled");
  await expect(watchTask("never", { baseUrl: `${url}/api/v1` }).ending).rejects.toMatchObject({
    status: 404,
  });
});
