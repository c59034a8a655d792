/**
 * Uploads through real sockets: what the manager before this one got wrong, each under the name of its symptom, and bad input.
 */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import type { Task } from "@holdfast/protocol";
import { closeServed, json, serve, talk, type Served } from "./served.test.kit.js";

afterEach(closeServed);

const TUS = { "Tus-Resumable": "1.0.0" };
const BYTES = { ...TUS, "Content-Type": "application/offset+octet-stream" };

async function create({ api }: Served, body: object): Promise<Task> {
  const answer = await fetch(`${api}/uploads`, json("POST", body));
  expect(answer.status).toBe(201);
  return (await answer.json()) as Task;
}

async function task({ api }: Served, id: string): Promise<Task> {
  return (await (await fetch(`${api}/uploads/${id}`)).json()) as Task;
}

async function content({ api }: Served, id: string): Promise<Buffer> {
  const answer = await fetch(`${api}/uploads/${id}/content`);
  expect(answer.status).toBe(200);
  return Buffer.from(await answer.arrayBuffer());
}

/** The problem's code, after its form was checked. */
async function problem(answer: Response): Promise<string> {
  expect(answer.headers.get("content-type")).toContain("application/problem+json");
  const { code, status, detail } = (await answer.json()) as { code: string; status: number; detail: string };
  expect(status).toBe(answer.status);
  expect(detail.length).toBeGreaterThan(10);
  return code;
}

/** A request whose body is sent by hand. */
async function begin(served: Served, head: string): Promise<Socket> {
  const socket = connect(served.port, "127.0.0.1");
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => socket.once("connect", resolve));
  socket.write(`${head}\r\nHost: x\r\n`);
  return socket;
}

async function ended(served: Served, id: string): Promise<Task> {
  for (let i = 0; i < 600; i += 1) {
    const seen = await task(served, id);
    if (seen.endedAt !== null) return seen;
    await new Promise<void>((resolve) => void setTimeout(resolve, 5));
  }
  return await task(served, id);
}

async function stored(served: Served, id: string, bytes: number): Promise<void> {
  for (let i = 0; i < 600; i += 1) {
    if ((await task(served, id)).uploaded === bytes) return;
    await new Promise<void>((resolve) => void setTimeout(resolve, 5));
  }
  expect((await task(served, id)).uploaded).toBe(bytes);
}

test("a failed upload is not reported as completed, 100 %", async () => {
  const served = await serve();
  await create(served, { id: "u", total: 1_000 });
  const socket = await begin(served, "POST /api/v1/uploads HTTP/1.1\r\nUpload-Task-Id: u");
  socket.write("Content-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n");
  socket.write("x".repeat(400));
  await stored(served, "u", 400);
  socket.destroy();
  expect(await ended(served, "u")).toMatchObject({
    status: "failed",
    uploaded: 400,
    percentage: 40,
    error: { code: "UPLOAD_INCOMPLETE" },
  });
});

test("the last event is not dropped, and the state is there after the end", async () => {
  const served = await serve();
  const { id } = await create(served, { filename: "a" });
  const stream = fetch(`${served.api}/uploads/${id}/stream`).then(async (answer) => await answer.text());
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "hello" });
  const text = await stream;
  expect(text.match(/^event: (complete|failed|cancelled)$/gm)).toEqual(["event: complete"]);
  expect(text.trimEnd().split("\n").at(-1)).toContain('"result":');
  expect((await task(served, id)).status).toBe("completed");
  expect((await content(served, id)).toString()).toBe("hello");
});

test("a half-closed client yields an incomplete upload, never a padded file", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 1_000 });
  const socket = await begin(served, `PUT /api/v1/uploads/${id}/content HTTP/1.1`);
  socket.write(`Content-Length: 1000\r\n\r\n${"y".repeat(300)}`);
  await stored(served, id, 300);
  socket.end(); // the client's half is closed; it would still read
  const head = await fetch(`${served.api}/uploads/${id}`, { method: "HEAD", headers: TUS });
  expect(head.headers.get("upload-offset")).toBe("300");
  expect(await task(served, id)).toMatchObject({ status: "uploading", uploaded: 300, percentage: 30 });
  const rest = await fetch(`${served.api}/uploads/${id}`, {
    method: "PATCH",
    headers: { ...BYTES, "Upload-Offset": "300" },
    body: "z".repeat(700),
  });
  expect(rest.status).toBe(204);
  expect((await content(served, id)).toString()).toBe("y".repeat(300) + "z".repeat(700));
});

test("nobody overwrites a task by naming its id", async () => {
  const served = await serve();
  const { id } = await create(served, { filename: "mine" });
  await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "mine" });
  const again = await fetch(`${served.api}/uploads`, json("POST", { id, filename: "theirs" }));
  expect([again.status, await problem(again)]).toEqual([409, "ID_TAKEN"]);
  const metadata = `taskId ${Buffer.from(id).toString("base64")}`;
  const tus = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { ...TUS, "Upload-Length": "6", "Upload-Metadata": metadata },
  });
  expect([tus.status, await problem(tus)]).toEqual([409, "ID_TAKEN"]);
  const put = await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "theirs" });
  expect([put.status, await problem(put)]).toEqual([409, "UPLOAD_COMPLETE"]);
  const raw = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "Upload-Task-Id": id },
    body: "theirs",
  });
  expect([raw.status, await problem(raw)]).toEqual([409, "TASK_ENDED"]);
  expect((await content(served, id)).toString()).toBe("mine");
});

test("progress does not go from 60 % to 10 %: what is stored is never sent again from the start", async () => {
  const served = await serve({ progressIntervalMs: 0 });
  const { id } = await create(served, { total: 1_000 });
  const text = fetch(`${served.api}/uploads/${id}/stream`).then(async (answer) => await answer.text());
  const patch = async (offset: number, size: number): Promise<number> =>
    (
      await fetch(`${served.api}/uploads/${id}`, {
        method: "PATCH",
        headers: { ...BYTES, "Upload-Offset": String(offset) },
        body: "a".repeat(size),
      })
    ).status;
  expect(await patch(0, 600)).toBe(204);
  expect(await patch(0, 100)).toBe(409); // a second tab that begins anew
  expect((await task(served, id)).percentage).toBe(60);
  expect(await patch(600, 400)).toBe(204);
  const seen = [...(await text).matchAll(/event: progress\ndata: (.*)/g)].map(
    ([, data = ""]) => (JSON.parse(data) as { percentage: number }).percentage,
  );
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  expect(seen).toContain(60);
});

test("watching takes no lock and does not disturb an upload", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 2_000 });
  const socket = await begin(served, `PUT /api/v1/uploads/${id}/content HTTP/1.1`);
  socket.write(`Content-Length: 2000\r\n\r\n${"a".repeat(1_000)}`);
  await stored(served, id, 1_000);
  const watching = new AbortController();
  for (let i = 0; i < 20; i += 1) {
    await task(served, id);
    await fetch(`${served.api}/uploads/${id}/stream`, { signal: watching.signal });
    await fetch(`${served.api}/uploads/${id}`, { method: "HEAD" });
  }
  socket.write("a".repeat(1_000));
  expect(await ended(served, id)).toMatchObject({ status: "completed", uploaded: 2_000 });
  watching.abort();
  socket.destroy();
});

test("of two writers on one upload the newer goes on where the older stopped, and nothing is lost", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 1_000 });
  const older = await begin(served, `PATCH /api/v1/uploads/${id} HTTP/1.1`);
  older.write(
    "Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n",
  );
  older.write(`Content-Length: 1000\r\n\r\n${"o".repeat(500)}`);
  await stored(served, id, 500);
  const head = await fetch(`${served.api}/uploads/${id}`, { method: "HEAD", headers: TUS });
  expect(head.headers.get("upload-offset")).toBe("500");
  older.write("o".repeat(500)); // the older one is no longer listened to
  const newer = await fetch(`${served.api}/uploads/${id}`, {
    method: "PATCH",
    headers: { ...BYTES, "Upload-Offset": "500" },
    body: "n".repeat(500),
  });
  expect(newer.status).toBe(204);
  older.destroy();
  expect((await content(served, id)).toString()).toBe("o".repeat(500) + "n".repeat(500));
});

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

test("a tus upload of deferred length is complete when its length is said, not before", async () => {
  const served = await serve();
  const made = await fetch(`${served.api}/uploads`, {
    method: "POST",
    headers: { ...TUS, "Upload-Defer-Length": "1" },
  });
  const url = new URL(made.headers.get("location") ?? "", served.url).href;
  expect(made.headers.get("upload-expires")).toMatch(/ GMT$/);
  const patch = async (offset: number, body: string, more: object = {}): Promise<number> =>
    (
      await fetch(url, {
        method: "PATCH",
        headers: { ...BYTES, "Upload-Offset": String(offset), ...more },
        body,
      })
    ).status;
  expect(await patch(0, "abc")).toBe(204);
  const head = await fetch(url, { method: "HEAD", headers: TUS });
  expect([head.headers.get("upload-offset"), head.headers.get("upload-defer-length")]).toEqual(["3", "1"]);
  expect(await patch(3, "def", { "Upload-Length": "6" })).toBe(204);
  expect(await (await fetch(url)).json()).toMatchObject({ status: "completed", total: 6 });
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

test("a cancelled upload stops its writer and leaves no bytes behind", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 1_000 });
  const socket = await begin(served, `PUT /api/v1/uploads/${id}/content HTTP/1.1`);
  socket.write(`Content-Length: 1000\r\n\r\n${"a".repeat(500)}`);
  await stored(served, id, 500);
  expect((await fetch(`${served.api}/uploads/${id}`, { method: "DELETE" })).status).toBe(204);
  expect((await fetch(`${served.api}/uploads/${id}`, { method: "DELETE" })).status).toBe(204);
  socket.destroy();
  const { dataDir } = served.holdfast.settings;
  const left = readdirSync(`${dataDir}/blobs`, { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  );
  expect(left).toEqual([]);
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

test("a body longer than announced is refused, stores nothing beyond, and does not look whole", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 10 });
  const socket = await begin(served, `PUT /api/v1/uploads/${id}/content HTTP/1.1`);
  const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  socket.write("Transfer-Encoding: chunked\r\n\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
  expect(await answer).toMatch(/^HTTP\/1.1 413 /);
  expect(await task(served, id)).toMatchObject({ status: "uploading", total: 10 });
  expect((await task(served, id)).uploaded).toBeLessThan(10);
  socket.destroy();
  const long = await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "0123456789abc" });
  expect([long.status, await problem(long)]).toEqual([413, "UPLOAD_TOO_LARGE"]);
});

test("a body shorter than the whole is refused before a byte is stored", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 10 });
  const short = await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "0123" });
  expect([short.status, await problem(short)]).toEqual([422, "INVALID_FIELD"]);
  expect((await task(served, id)).uploaded).toBe(0);
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

test("an upload above the bound, or that does not fit the disk, is refused before a byte is stored", async () => {
  const small = await serve({ maxUploadBytes: 100 });
  for (const answer of [
    await fetch(`${small.api}/uploads`, json("POST", { total: 101 })),
    await fetch(`${small.api}/uploads`, { method: "POST", headers: { ...TUS, "Upload-Length": "101" } }),
    await fetch(`${small.api}/uploads`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: "x".repeat(101),
    }),
  ]) {
    expect([answer.status, await problem(answer)]).toEqual([413, "UPLOAD_TOO_LARGE"]);
  }
  const options = await fetch(`${small.api}/uploads`, { method: "OPTIONS" });
  expect(options.headers.get("tus-max-size")).toBe("100");
  const full = await serve({ minFreeDiskBytes: Number.MAX_SAFE_INTEGER });
  const answer = await fetch(`${full.api}/uploads`, json("POST", { total: 1 }));
  expect([answer.status, await problem(answer)]).toEqual([507, "INSUFFICIENT_STORAGE"]);
  expect(answer.headers.get("retry-after")).toBe("60");
});

test("a form that is cut leaves no upload that looks whole", async () => {
  const served = await serve();
  const socket = await begin(served, "POST /api/v1/uploads HTTP/1.1");
  const head = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n';
  socket.write(
    `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000\r\n\r\n${head}${"q".repeat(900)}`,
  );
  const one = async (): Promise<Task | undefined> =>
    ((await (await fetch(`${served.api}/uploads`)).json()) as { items: Task[] }).items[0];
  for (let i = 0; i < 600 && ((await one())?.uploaded ?? 0) === 0; i += 1) {
    await new Promise<void>((resolve) => void setTimeout(resolve, 5));
  }
  socket.destroy();
  for (let i = 0; i < 600 && (await one())?.status === "uploading"; i += 1) {
    await new Promise<void>((resolve) => void setTimeout(resolve, 5));
  }
  expect(await one()).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE" },
    filename: "a.txt",
  });
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

test("a file name never becomes a path, a header or a script", async () => {
  const served = await serve();
  for (const filename of [
    "../../etc/passwd",
    "a\r\nSet-Cookie: x=1",
    '"><script>',
    "C:\\x\\boot.ini",
    "‮gpj.exe",
    "日本.txt",
  ]) {
    const { id, filename: kept } = await create(served, { filename });
    await fetch(`${served.api}/uploads/${id}/content`, { method: "PUT", body: "x" });
    const { headers } = await fetch(`${served.api}/uploads/${id}/content`);
    expect(kept).not.toMatch(/[/\\\r\n\u202e]/);
    expect(headers.get("content-disposition")).toMatch(
      /^attachment; filename="[^"\r\n]*"; filename\*=UTF-8''[\w.%~!-]*$/,
    );
    expect(headers.get("set-cookie")).toBeNull();
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toContain("sandbox");
  }
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

test("a body that falls silent is given up, and the upload can go on", async () => {
  const served = await serve({ readTimeoutMs: 100 });
  const { id } = await create(served, { total: 100 });
  const { text, closed } = await talk(
    served.port,
    `PUT /api/v1/uploads/${id}/content HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc`,
    4_500,
  );
  expect(closed).toBe(true);
  expect(text).toMatch(/^HTTP\/1.1 (200|4\d\d) /);
  expect(await task(served, id)).toMatchObject({ status: "uploading", uploaded: 3 });
});

const wrong: readonly [string, RequestInit & { path?: string }, number][] = [
  ["no length", { method: "POST", headers: TUS }, 400],
  [
    "both lengths",
    { method: "POST", headers: { ...TUS, "Upload-Length": "1", "Upload-Defer-Length": "1" } },
    400,
  ],
  ["half a number", { method: "POST", headers: { ...TUS, "Upload-Length": "12abc" } }, 400],
  ["a negative length", { method: "POST", headers: { ...TUS, "Upload-Length": "-1" } }, 400],
  [
    "a length beyond exact numbers",
    { method: "POST", headers: { ...TUS, "Upload-Length": "9007199254740993" } },
    400,
  ],
  ["another tus", { method: "POST", headers: { "Tus-Resumable": "0.2.0", "Upload-Length": "1" } }, 412],
  [
    "concatenation",
    { method: "POST", headers: { ...TUS, "Upload-Concat": "partial", "Upload-Length": "1" } },
    501,
  ],
  [
    "metadata that is no base64",
    { method: "POST", headers: { ...TUS, "Upload-Length": "1", "Upload-Metadata": "a *" } },
    400,
  ],
  [
    "an id with ../",
    { method: "POST", headers: { ...TUS, "Upload-Length": "1", "Upload-Metadata": "taskId Li4vYQ==" } },
    422,
  ],
  ["no content type", { method: "POST", body: new Uint8Array([1]) }, 415],
  ["a text", { method: "POST", headers: { "Content-Type": "text/plain" }, body: "x" }, 415],
  ["broken JSON", { method: "POST", headers: { "Content-Type": "application/json" }, body: "{" }, 400],
  ["an unknown field", json("POST", { size: 1 }), 422],
  ["a total that is text", json("POST", { total: "1" }), 422],
  ["an id with NUL", json("POST", { id: "a\0b" }), 422],
  ["an id of 10 kB", json("POST", { id: "a".repeat(10_240) }), 422],
  [
    "a form without a boundary",
    { method: "POST", headers: { "Content-Type": "multipart/form-data" }, body: "x" },
    400,
  ],
  [
    "a form without a file",
    {
      method: "POST",
      headers: { "Content-Type": "multipart/form-data; boundary=b" },
      body: '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n',
    },
    422,
  ],
  [
    "PATCH of nobody",
    { path: "/none", method: "PATCH", headers: { ...BYTES, "Upload-Offset": "0" }, body: "x" },
    404,
  ],
  [
    "PATCH with another type",
    {
      path: "/u",
      method: "PATCH",
      headers: { ...TUS, "Content-Type": "text/plain", "Upload-Offset": "0" },
      body: "x",
    },
    415,
  ],
  ["PATCH without offset", { path: "/u", method: "PATCH", headers: BYTES, body: "x" }, 400],
  ["PATCH without tus", { path: "/u", method: "PATCH", body: "x" }, 412],
  [
    "PATCH at another offset",
    { path: "/u", method: "PATCH", headers: { ...BYTES, "Upload-Offset": "5" }, body: "x" },
    409,
  ],
  [
    "PATCH beyond the end",
    { path: "/u", method: "PATCH", headers: { ...BYTES, "Upload-Offset": "0" }, body: "x".repeat(11) },
    413,
  ],
  [
    "PATCH that changes the length",
    {
      path: "/u",
      method: "PATCH",
      headers: { ...BYTES, "Upload-Offset": "0", "Upload-Length": "99" },
      body: "x",
    },
    422,
  ],
  ["PUT on the upload itself", { path: "/u", method: "PUT", body: "x" }, 405],
  ["an id with encoded ../", { path: "/%2e%2e%2fx", method: "GET" }, 404],
  ["an id with encoded NUL", { path: "/a%00b", method: "GET" }, 404],
  ["a bad status filter", { path: "?status=done", method: "GET" }, 422],
];

test.each(wrong)(
  "%s is refused with a problem document, and nothing changes",
  async (_name, { path = "", ...init }, status) => {
    const served = await serve();
    await create(served, { id: "u", total: 10 });
    const answer = await fetch(`${served.api}/uploads${path}`, init);
    expect(answer.status).toBe(status);
    await problem(answer);
    expect(await task(served, "u")).toMatchObject({ status: "pending", uploaded: 0 });
  },
);

test("whatever the headers of a POST or PATCH say, the answer is no 5xx and the server stays", async () => {
  const served = await serve();
  await create(served, { id: "u", total: 10 });
  const value = fc.oneof(
    fc.constantFrom(
      "1",
      "0",
      "-1",
      "1e3",
      "",
      "bytes 0-1/2",
      "1.0.0",
      "application/offset+octet-stream",
      "application/json",
    ),
    fc.string({ unit: "grapheme-ascii", maxLength: 40 }).map((text) => text.replaceAll(/[^\x20-\x7e]/g, "")),
  );
  const name = fc.constantFrom(
    "Tus-Resumable",
    "Upload-Length",
    "Upload-Offset",
    "Upload-Defer-Length",
    "Upload-Metadata",
    "Upload-Concat",
    "Upload-Task-Id",
    "X-File-Name",
    "Content-Type",
    "Content-Range",
    "X-HTTP-Method-Override",
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("POST", "PATCH", "PUT", "HEAD", "DELETE"),
      fc.constantFrom("", "/u", "/u/content", "/none"),
      fc.dictionary(name, value),
      fc.string({ maxLength: 20 }),
      async (method, path, headers, text) => {
        const body = method === "HEAD" ? {} : { body: text };
        const answer = await fetch(`${served.api}/uploads${path}`, { method, headers, ...body });
        await answer.arrayBuffer();
        expect(answer.status === 501 || answer.status < 500).toBe(true);
      },
    ),
    { numRuns: 300 },
  );
  expect((await fetch(`${served.url}/healthz`)).status).toBe(200);
});
