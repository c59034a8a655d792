/**
 * The ways to bring bytes and to read them, through real sockets.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Task } from "@holdfast/protocol";
import { afterEach, expect, test } from "vitest";
import { closeServed, json, serve, type Served } from "./served.test.kit.js";
import { BYTES, content, create, problem, task, TUS } from "./upload.test.kit.js";

afterEach(closeServed);

test("every way to bring bytes ends in the same task with the same bytes", async () => {
  const served = await serve();
  const bytes = randomBytes(3_000_000);
  const hash = createHash("sha256").update(bytes).digest("hex");
  const ids: string[] = [];
  const put = await create(served, { filename: "f.bin", total: bytes.length });
  expect(
    (await fetch(`${served.api}/uploads/${put.id}/content`, { method: "PUT", body: bytes })).status,
  ).toBe(200);
  ids.push(put.id);
  const raw = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-File-Name": "f.bin" },
    body: bytes,
  });
  expect(raw.status).toBe(201);
  ids.push(((await raw.json()) as Task).id);
  const form = new FormData();
  form.set("note", "first");
  form.set("file", new Blob([bytes]), "f.bin");
  const posted = (await (
    await fetch(`${served.api}/uploads`, { method: "POST", body: form })
  ).json()) as Task;
  expect(posted.metadata).toEqual({ note: "first" });
  ids.push(posted.id);
  const tus = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { ...BYTES, "Upload-Length": String(bytes.length), "Upload-Metadata": "filename Zi5iaW4=" },
    body: bytes,
  });
  expect([tus.status, tus.headers.get("upload-offset")]).toEqual([201, String(bytes.length)]);
  ids.push(tus.headers.get("location")?.split("/").at(-1) ?? "");
  for (const id of ids) {
    expect(await task(served, id)).toMatchObject({
      kind: "upload",
      status: "completed",
      uploaded: bytes.length,
      total: bytes.length,
      percentage: 100,
      filename: "f.bin",
    });
    expect(
      createHash("sha256")
        .update(await content(served, id))
        .digest("hex"),
    ).toBe(hash);
  }
});

interface DeferredUpload {
  readonly made: Response;
  readonly url: string;
  /** Returns the status. */
  readonly patch: (offset: number, body: string, headers?: object) => Promise<number>;
}

async function createDeferred({ api, url: origin }: Served): Promise<DeferredUpload> {
  const made = await fetch(`${api}/uploads`, {
    method: "POST",
    headers: { ...TUS, "Upload-Defer-Length": "1" },
  });
  const url = new URL(made.headers.get("location") ?? "", origin).href;
  const patch: DeferredUpload["patch"] = async (offset, body, more = {}) => {
    const headers = { ...BYTES, "Upload-Offset": String(offset), ...more };
    return (await fetch(url, { method: "PATCH", headers, body })).status;
  };
  return { made, url, patch };
}

test("a tus upload of deferred length is complete when its length is said, not before", async () => {
  const served = await serve();
  const { url, patch, made } = await createDeferred(served);
  expect(made.headers.get("upload-expires")).toMatch(/ GMT$/);
  expect(await patch(0, "abc")).toBe(204);
  const head = await fetch(url, { method: "HEAD", headers: TUS });
  expect([head.headers.get("upload-offset"), head.headers.get("upload-defer-length")]).toEqual(["3", "1"]);
  expect(await patch(3, "def", { "Upload-Length": "6" })).toBe(204);
  expect(await (await fetch(url)).json()).toMatchObject({ status: "completed", total: 6 });
});

test("a refused PATCH declares no length, and one that is all there completes", async () => {
  const served = await serve();
  const { url, patch } = await createDeferred(served);
  expect(await patch(0, "abcde")).toBe(204);
  expect(await patch(3, "", { "Upload-Length": "5" })).toBe(409);
  expect(await patch(9, "", { "Upload-Length": "5" })).toBe(409);
  expect(await (await fetch(url)).json()).toMatchObject({ status: "uploading", total: null });
  expect(await patch(5, "", { "Upload-Length": "5" })).toBe(204);
  expect(await (await fetch(url)).json()).toMatchObject({ status: "completed", total: 5, done: 5 });
});

test("a task of a producer is no upload, whoever asks by that route", async () => {
  const served = await serve();
  await fetch(`${served.api}/tasks`, json("POST", { id: "job" }));
  for (const method of ["GET", "DELETE"]) {
    const answer = await fetch(`${served.api}/uploads/job`, { method });
    expect([answer.status, await problem(answer)]).toEqual([404, "TASK_NOT_FOUND"]);
  }
  expect(await (await fetch(`${served.api}/tasks/job`)).json()).toMatchObject({ status: "pending" });
});

test("DELETE said twice is answered alike, on both routes, and removes the bytes of what has ended", async () => {
  const served = await serve();
  await fetch(`${served.api}/tasks`, json("POST", { id: "job" }));
  const { id } = await create(served, {});
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "abc" });
  for (const path of ["tasks/job", "tasks/job", `tasks/${id}`, `tasks/${id}`, `uploads/${id}`]) {
    expect([path, (await fetch(`${served.api}/${path}`, { method: "DELETE" })).status]).toEqual([path, 204]);
  }
  expect(await (await fetch(`${served.api}/tasks/job`)).json()).toMatchObject({ status: "cancelled" });
  expect((await task(served, id)).status).toBe("completed");
  expect((await fetch(`${served.api}/uploads/${id}/content`)).status).toBe(410);
});

test("fields after a file do not reach back to it, also when all come in one packet", async () => {
  const served = await serve();
  const part = (name: string, value: string): string =>
    `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const file = `--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\nabc\r\n`;
  const answer = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { "Content-Type": "multipart/form-data; boundary=b" },
    body: `${part("batchId", "early")}${file}${part("batchId", "late")}${part("note", "late")}--b--\r\n`,
  });
  expect(await answer.json()).toMatchObject({ batchId: "early", metadata: {}, status: "completed" });
});

test("after a tus DELETE tus requests get 410, and GET and stream show cancelled", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 100 });
  const url = `${served.api}/uploads/${id}`;
  expect((await fetch(url, { method: "DELETE", headers: TUS })).status).toBe(204);
  for (const method of ["HEAD", "PATCH", "DELETE"]) {
    const headers = method === "PATCH" ? { ...BYTES, "Upload-Offset": "0" } : TUS;
    const answer = await fetch(url, { method, headers });
    expect([method, answer.status, answer.headers.get("tus-resumable")]).toEqual([method, 410, "1.0.0"]);
  }
  expect((await task(served, id)).status).toBe("cancelled");
  expect(await (await fetch(`${url}/stream`)).text()).toContain("event: cancelled\n");
});

test("deleting a completed upload removes its bytes; the task stays completed and its content is 410", async () => {
  const served = await serve();
  const { id } = await create(served, {});
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "abc" });
  expect((await fetch(`${served.api}/uploads/${id}`, { method: "DELETE" })).status).toBe(204);
  expect((await task(served, id)).status).toBe("completed");
  const gone = await fetch(`${served.api}/uploads/${id}/content`);
  expect([gone.status, await problem(gone)]).toEqual([410, "CONTENT_GONE"]);
});

test("content that was cut goes on by Content-Range", async () => {
  const served = await serve();
  const { id } = await create(served, {});
  const part = async (range: string, body: string): Promise<number> =>
    (
      await fetch(`${served.api}/uploads/${id}/content`, {
        method: "PUT",
        headers: { "Content-Range": range },
        body,
      })
    ).status;
  expect(await part("bytes 0-2/6", "abc")).toBe(200);
  expect(await part("bytes 0-2/6", "abc")).toBe(409);
  expect(await part("bytes 3-9/6", "defghij")).toBe(400);
  expect(await part("bytes 3-5/6", "def")).toBe(200);
  expect((await content(served, id)).toString()).toBe("abcdef");
});

test("a form of several files makes several uploads", async () => {
  const served = await serve();
  const form = new FormData();
  form.set("batchId", "together");
  for (const name of ["a", "b", "c"]) form.append("file", new Blob([name.repeat(10)]), name);
  const answer = await fetch(`${served.api}/uploads`, { method: "POST", body: form });
  const { items } = (await answer.json()) as { items: Task[] };
  expect(items.map(({ filename, status, batchId }) => [filename, status, batchId])).toEqual(
    ["a", "b", "c"].map((name) => [name, "completed", "together"]),
  );
});

test("ranges are answered, and one beyond the end is refused with the size", async () => {
  const served = await serve();
  const { id } = await create(served, {});
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "0123456789" });
  const range = async (value: string, more: object = {}): Promise<[number, string, string | null]> => {
    const answer = await fetch(`${served.api}/uploads/${id}/content`, { headers: { Range: value, ...more } });
    return [answer.status, await answer.text(), answer.headers.get("content-range")];
  };
  expect(await range("bytes=2-4")).toEqual([206, "234", "bytes 2-4/10"]);
  expect(await range("bytes=7-")).toEqual([206, "789", "bytes 7-9/10"]);
  expect(await range("bytes=-3")).toEqual([206, "789", "bytes 7-9/10"]);
  expect(await range("bytes=5-99")).toEqual([206, "56789", "bytes 5-9/10"]);
  expect((await range("bytes=10-")).slice(0, 1)).toEqual([416]);
  for (const ignored of ["bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=x"])
    expect((await range(ignored))[0]).toBe(200);
  expect((await range("bytes=2-4", { "If-Range": '"other"' }))[0]).toBe(200);
});

test("HEAD tells size and name of the content, and an unchanged copy is not sent again", async () => {
  const served = await serve();
  const { id } = await create(served, { filename: "a.txt" });
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "0123456789" });
  const url = `${served.api}/uploads/${id}/content`;
  const head = await fetch(url, { method: "HEAD", headers: { Range: "bytes=2-4" } });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, "10"]);
  expect(head.headers.get("content-disposition")).toContain('filename="a.txt"');
  const etag = head.headers.get("etag") ?? "";
  for (const [condition, status] of [
    [etag, 304],
    [`"x", W/${etag}`, 304],
    ['"x"', 200],
  ] as const) {
    const answer = await fetch(url, { headers: { "If-None-Match": condition } });
    expect([answer.status, (await answer.text()).length]).toEqual([status, status === 304 ? 0 : 10]);
  }
});

test("a file field that was left empty is no file", async () => {
  const served = await serve();
  const part = (name: string, body: string): string =>
    `--b\r\nContent-Disposition: form-data; name="f"; filename="${name}"\r\nContent-Type: application/octet-stream\r\n\r\n${body}\r\n`;
  const post = async (body: string): Promise<Response> =>
    await fetch(`${served.api}/uploads`, {
      method: "POST",
      headers: { "Content-Type": "multipart/form-data; boundary=b" },
      body: `${body}--b--\r\n`,
    });
  expect((await post(part("", ""))).status).toBe(422);
  const answer = await post(part("", "") + part("a", "abc"));
  expect(await answer.json()).toMatchObject({ filename: "a", status: "completed", uploaded: 3 });
});

test("content can't be read before it is whole", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 10 });
  const answer = await fetch(`${served.api}/uploads/${id}/content`);
  expect([answer.status, await problem(answer)]).toEqual([409, "CONTENT_NOT_READY"]);
});

test("an empty file is complete once it is created", async () => {
  const served = await serve();
  const made = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { ...TUS, "Upload-Length": "0" },
  });
  const url = new URL(made.headers.get("location") ?? "", served.url).href;
  expect(await (await fetch(url)).json()).toMatchObject({
    status: "completed",
    percentage: 100,
    uploaded: 0,
  });
  const raw = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "Content-Length": "0" },
  });
  expect([raw.status, ((await raw.json()) as Task).status]).toEqual([201, "completed"]);
});

test("an external upload waits for its producer, who may read it", async () => {
  const served = await serve();
  const { id } = await create(served, { processing: "external" });
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "abc" });
  expect(await task(served, id)).toMatchObject({ status: "processing", percentage: 99.9 });
  expect((await content(served, id)).toString()).toBe("abc");
  const report = { type: "complete", data: { result: { pages: 3 } } };
  expect((await fetch(`${served.api}/tasks/${id}/events`, json("POST", report))).status).toBe(200);
  expect(await task(served, id)).toMatchObject({
    status: "completed",
    percentage: 100,
    result: { pages: 3 },
  });
});
