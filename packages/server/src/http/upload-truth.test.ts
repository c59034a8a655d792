/**
 * What the upload manager before this one got wrong, each under the name of its symptom, through real sockets.
 */
import { readdirSync } from "node:fs";
import type { Task } from "@holdfast/protocol";
import { afterEach, expect, test } from "vitest";
import { closeServed, HEAD, json, serve, talk, until } from "./served.test.kit.js";
import { begin, BYTES, content, create, ended, problem, stored, task, TUS } from "./upload.test.kit.js";

afterEach(closeServed);

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

test("a form that is cut leaves no upload that looks whole", async () => {
  const served = await serve();
  const socket = await begin(served, "POST /api/v1/uploads HTTP/1.1");
  const head = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n';
  socket.write(
    `Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 5000\r\n\r\n${head}${"q".repeat(900)}`,
  );
  const one = async (): Promise<Task | undefined> =>
    ((await (await fetch(`${served.api}/uploads`)).json()) as { items: Task[] }).items[0];
  await until(async () => ((await one())?.uploaded ?? 0) > 0);
  socket.destroy();
  await until(async () => (await one())?.status !== "uploading");
  expect(await one()).toMatchObject({
    status: "failed",
    error: { code: "UPLOAD_INCOMPLETE" },
    filename: "a.txt",
  });
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

test("a body that falls silent is given up, and the upload can go on", async () => {
  const served = await serve({ readTimeoutMs: 100 });
  const { id } = await create(served, { total: 100 });
  const text = await talk(
    served.port,
    `PUT /api/v1/uploads/${id}/content HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc`,
  );
  expect(text).toMatch(/^HTTP\/1.1 400 /);
  expect(await task(served, id)).toMatchObject({ status: "uploading", uploaded: 3 });
});

test("a tus body that falls silent is answered with the offset it came to, so that its client goes on there", async () => {
  const served = await serve({ readTimeoutMs: 100 });
  const { id } = await create(served, { total: 100 });
  const head = Object.entries({ ...BYTES, Host: "x", "Upload-Offset": "0", "Content-Length": "100" });
  const lines = head.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const text = await talk(served.port, `PATCH /api/v1/uploads/${id} HTTP/1.1\r\n${lines}\r\nabc`, HEAD);
  expect(text).toMatch(/^HTTP\/1.1 204 /);
  expect(text).toMatch(/\r\nupload-offset: 3\r\n/i);
});

test("a one-shot that is stopped is not answered as created", async () => {
  const served = await serve({ readTimeoutMs: 100 });
  const head = "POST /api/v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\n";
  const text = await talk(served.port, `${head}Content-Length: 100\r\n\r\nabc`, HEAD);
  expect(text).toMatch(/^HTTP\/1.1 400 /);
  const { items } = (await (await fetch(`${served.api}/uploads`)).json()) as { items: Task[] };
  expect(items).toMatchObject([{ status: "failed", uploaded: 3, error: { code: "UPLOAD_INCOMPLETE" } }]);
});

test("whoever sends to an upload while it is cancelled hears so", async () => {
  const served = await serve();
  const { id } = await create(served, { total: 1_000 });
  const socket = await begin(served, `PUT /api/v1/uploads/${id}/content HTTP/1.1`);
  const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  socket.write(`Content-Length: 1000\r\n\r\n${"a".repeat(500)}`);
  await stored(served, id, 500);
  await fetch(`${served.api}/uploads/${id}`, { method: "DELETE" });
  expect(await answer).toMatch(/^HTTP\/1.1 409 [^]*TASK_ENDED/);
  socket.destroy();
});

test("a second writer takes nothing from a one-shot, nor from one it can't go on with", async () => {
  const served = await serve();
  const heads = {
    shot: "POST /api/v1/uploads HTTP/1.1\r\nUpload-Task-Id: shot\r\nContent-Type: application/octet-stream",
    put: "PUT /api/v1/uploads/put/content HTTP/1.1",
  };
  for (const [id, head] of Object.entries(heads)) {
    await create(served, { id, total: 1_000 });
    const socket = await begin(served, head);
    socket.write(`Content-Length: 1000\r\n\r\n${"a".repeat(500)}`);
    await stored(served, id, 500);
    const put = await fetch(`${served.api}/uploads/${id}/content`, {
      method: "PUT",
      body: "b".repeat(1_000),
    });
    expect([put.status, await problem(put)]).toEqual([409, "OFFSET_MISMATCH"]);
    if (id === "shot") {
      expect((await fetch(`${served.api}/uploads/${id}`, { method: "HEAD", headers: TUS })).status).toBe(423);
    }
    socket.write("a".repeat(500));
    expect(await ended(served, id)).toMatchObject({ status: "completed", uploaded: 1_000 });
    socket.destroy();
    expect((await content(served, id)).toString()).toBe("a".repeat(1_000));
  }
});
