import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { constants, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { afterEach, expect, test } from "vitest";
import { callHttp2, callJson2, closeHttp2, connectHttp2, readAnswer } from "./http2.test.kit.js";
import { closeServed, serve, until } from "./served.test.kit.js";
import { TLS } from "./tls.test.kit.js";

afterEach(async () => {
  closeHttp2();
  await closeServed();
});

const UPLOADS = "/api/v1/uploads";
const TUS = { "tus-resumable": "1.0.0" };
const PATCH = { ":method": "PATCH", ...TUS, "content-type": "application/offset+octet-stream" };

function toForm(bytes: Uint8Array): Buffer {
  const head = '--b\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n';
  return Buffer.concat([Buffer.from(head), bytes, Buffer.from("\r\n--b--\r\n")]);
}

async function task(session: ClientHttp2Session, id: string): Promise<{ readonly [key: string]: unknown }> {
  const { text } = await callHttp2(session, { ":path": `${UPLOADS}/${id}` });
  return JSON.parse(text) as { readonly [key: string]: unknown };
}

const WAYS: readonly (readonly [string, OutgoingHttpHeaders, (bytes: Uint8Array) => Uint8Array])[] = [
  ["PUT", { ":method": "PUT", ":path": `${UPLOADS}/a/content` }, (bytes) => bytes],
  ["tus", { ...PATCH, ":path": `${UPLOADS}/a`, "upload-offset": "0" }, (bytes) => bytes],
  [
    "a raw POST",
    {
      ":method": "POST",
      ":path": UPLOADS,
      "content-type": "application/octet-stream",
      "upload-task-id": "a",
    },
    (bytes) => bytes,
  ],
  [
    "a form",
    {
      ":method": "POST",
      ":path": UPLOADS,
      "content-type": "multipart/form-data; boundary=b",
      "upload-task-id": "a",
    },
    toForm,
  ],
];

for (const [way, headers, toBody] of WAYS) {
  test.each([true, false])(`${way} brings its bytes whole, announced: %s`, async (announced) => {
    const { url } = await serve({ http: "2" });
    const session = connectHttp2(url);
    const bytes = randomBytes(1_000_000);
    await callJson2(session, UPLOADS, { id: "a", filename: "a.bin", total: bytes.length });
    const body = toBody(bytes);
    const length = announced ? { "content-length": body.length } : {};
    const { status, rstCode } = await callHttp2(session, { ...headers, ...length }, body);
    expect([Math.floor(status / 100), rstCode]).toEqual([2, constants.NGHTTP2_NO_ERROR]);
    expect(await task(session, "a")).toMatchObject({ status: "completed", uploaded: bytes.length });
    const stream = session.request({ ":path": `${UPLOADS}/a/content` });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true);
  });

  // Node ends a request that was reset as it ends one that came whole, also when the code says that nothing was wrong.
  test.each([
    ["resets its stream with NO_ERROR", constants.NGHTTP2_NO_ERROR],
    ["resets its stream with CANCEL", constants.NGHTTP2_CANCEL],
    ["drops its connection", undefined],
  ])(`${way} is never taken for whole when its client %s, and no length was announced`, async (_, code) => {
    const { url, logs } = await serve({ http: "2" });
    const [session, watching] = [connectHttp2(url), connectHttp2(url)];
    await callJson2(watching, UPLOADS, { id: "a", filename: "a.bin" });
    const stream = session.request(headers);
    stream.on("error", () => undefined);
    stream.write(toBody(randomBytes(100_000)).subarray(0, 90_000));
    let uploaded = 0;
    while (uploaded < 80_000) uploaded = Number((await task(watching, "a"))["uploaded"]);
    if (code === undefined) session.destroy();
    else stream.close(code);
    const { ":method": method } = headers;
    await until(() => logs.some((line) => line["method"] === method && Number(line["status"]) !== 201));
    const resumable = way === "PUT" || way === "tus";
    let status: unknown;
    if (resumable) {
      // Who goes on takes over: what the cut one did is over by then.
      const { headers: head } = await callHttp2(watching, {
        ":method": "HEAD",
        ":path": `${UPLOADS}/a`,
        ...TUS,
      });
      expect(Number(head["upload-offset"])).toBe(90_000);
      ({ status } = await task(watching, "a"));
    } else {
      while (status !== "failed" && status !== "completed") ({ status } = await task(watching, "a"));
    }
    expect(status).toBe(resumable ? "uploading" : "failed");
  });
}

test("over TLS, too, an upload ends with the connection that brought it", async () => {
  const { port } = await serve({ http: "2", tls: TLS });
  const open = (): ClientHttp2Session =>
    connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const [session, watching] = [open(), open()];
  await callJson2(watching, UPLOADS, { id: "a", filename: "a.bin" });
  const [, , raw] = WAYS;
  const stream = session.request(raw?.[1]);
  stream.on("error", () => undefined);
  stream.write(randomBytes(90_000));
  let row = await task(watching, "a");
  while (row["uploaded"] !== 90_000) row = await task(watching, "a");
  session.destroy();
  while (row["status"] !== "failed") row = await task(watching, "a");
  expect(row["error"]).toMatchObject({ code: "UPLOAD_INCOMPLETE" });
});

test("a body that is refused gets its answer whole, and only its stream ends", async () => {
  const { url } = await serve({ http: "2", maxUploadBytes: 1_000_000 });
  const session = connectHttp2(url);
  await callJson2(session, UPLOADS, { id: "a", filename: "a.bin" });
  for (const path of [`${UPLOADS}/none/content`, `${UPLOADS}/a/content`]) {
    const stream = session.request({ ":method": "PUT", ":path": path });
    const answered = readAnswer(stream);
    const send = (): void => {
      if (!stream.destroyed && !stream.closed) stream.write(Buffer.alloc(500_000), send);
    };
    send();
    const { status, text, rstCode } = await answered;
    expect(status).toBe(path.includes("none") ? 404 : 413);
    expect(JSON.parse(text)).toMatchObject({ status });
    expect(rstCode).toBe(constants.NGHTTP2_NO_ERROR);
  }
  expect((await callHttp2(session, { ":path": "/healthz" })).status).toBe(200);
});

test("an upload that nobody reads does not stop the others on its connection", async () => {
  let held = 0;
  const { url } = await serve({
    http: "2",
    // Whoever may is asked for longer than this test takes: the body waits unread.
    authorize: async ({ taskId }) => {
      if (taskId !== "held") return true;
      held += 1;
      return await new Promise<boolean>(() => undefined);
    },
  });
  // More than a stream's window, all of it in the client's memory.
  const session = connectHttp2(url, { maxSessionMemory: 100 });
  const stream = session.request({ ":method": "PUT", ":path": `${UPLOADS}/held/content` });
  stream.on("error", () => undefined);
  stream.write(Buffer.alloc(40_000_000));
  await until(() => held === 1);
  const bytes = randomBytes(5_000_000);
  for (const id of ["a", "b", "c"]) {
    await callJson2(session, UPLOADS, { id, filename: id, total: bytes.length });
    const put = { ":method": "PUT", ":path": `${UPLOADS}/${id}/content` };
    expect((await callHttp2(session, put, bytes)).status).toBe(200);
  }
  stream.close();
});

test("what a client does not read is cut as unfinished at the write timeout, whatever else its connection does", async () => {
  const { url, logs } = await serve({
    http: "2",
    writeTimeoutMs: 500,
    heartbeatMs: 100,
    progressIntervalMs: 0,
  });
  const session = connectHttp2(url);
  await once(session, "connect");
  session.setLocalWindowSize(1_048_576);
  const put = { ":method": "POST", ":path": UPLOADS, "content-type": "application/octet-stream" };
  const { text } = await callHttp2(session, put, Buffer.alloc(1_000_000));
  const { id } = JSON.parse(text) as { readonly id: string };
  const watch = session.request({ ":path": `/api/v1/tasks/${id}/stream` });
  await callJson2(session, "/api/v1/tasks", { id: "live" });
  const live = session.request({ ":path": "/api/v1/tasks/live/stream" });
  live.resume();
  watch.resume();
  const stream = session.request({ ":path": `${UPLOADS}/${id}/content` });
  stream.on("error", () => undefined);
  const over = new Promise<void>((resolve) => void stream.once("close", resolve));
  stream.once("response", () => stream.pause());
  await until(() => logs.some(({ path, msg }) => msg === "request" && String(path).endsWith("/content")));
  stream.resume();
  await over;
  expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
  expect(live.closed).toBe(false);
});
