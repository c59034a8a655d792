/**
 * The sending side of the ingest bench, in a process of its own: told over IPC what to send where, it answers with the time.
 *
 * Every way sends the same bytes from one buffer, as fast as the socket takes them, and is done when the server has confirmed the last.
 * What precedes the first byte (creating the task) is not measured; the watcher is connected before.
 */
import { get, request as openRequest } from "node:http";

const PIECE_BYTES = 1_048_576;
const TUS = { "Tus-Resumable": "1.0.0" };
const CHUNK_BYTES = 8 * 1_048_576;
const piece = Buffer.alloc(PIECE_BYTES, "holdfast");

/** @typedef {"raw" | "put" | "tus" | "tus-chunks"} Way */
/** @typedef {{ readonly way: Way, readonly url: string, readonly bytes: number }} Order */

let uploads = 0;
process.on("message", (message) => {
  const order = /** @type {Order} */ (message);
  measure(order).then(
    (result) => process.send?.(result),
    (/** @type {unknown} */ error) => process.send?.({ error: String(error) }),
  );
});
process.once("disconnect", () => process.exit(0));

/** @param {Order} order */
async function measure({ way, url, bytes }) {
  if (way === "raw") {
    const startMs = performance.now();
    await send(url, "PUT", {}, bytes);
    return { elapsedMs: performance.now() - startMs };
  }
  uploads += 1;
  const id = `ingest-${process.pid}-${uploads}`;
  const json = JSON.stringify({ id, filename: "ingest.bin", total: bytes });
  await send(`${url}/api/v1/uploads`, "POST", { "Content-Type": "application/json" }, json);
  const watch = await openWatch(`${url}/api/v1/uploads/${id}/stream`);
  const target = `${url}/api/v1/uploads/${id}`;
  const startMs = performance.now();
  if (way === "put") {
    await send(`${target}/content`, "PUT", { "Content-Type": "application/octet-stream" }, bytes);
  } else {
    const chunk = way === "tus" ? bytes : CHUNK_BYTES;
    for (let offset = 0; offset < bytes; offset += chunk) {
      const headers = {
        ...TUS,
        "Upload-Offset": String(offset),
        "Content-Type": "application/offset+octet-stream",
      };
      await send(target, "PATCH", headers, Math.min(chunk, bytes - offset));
    }
  }
  const elapsedMs = performance.now() - startMs;
  const text = await watch.ended;
  if (!text.includes("event: complete")) throw new Error(`${way} was not completed: ${text.slice(-300)}`);
  await send(target, "DELETE", {}, "");
  return { elapsedMs, progressEvents: text.split("event: progress").length - 1 };
}

/** @param {string} url @param {string} method @param {import("node:http").OutgoingHttpHeaders} headers @param {number | string} body bytes, or a text */
async function send(url, method, headers, body) {
  const length = typeof body === "number" ? body : Buffer.byteLength(body);
  await new Promise((resolve, reject) => {
    const request = openRequest(
      url,
      { method, headers: { ...headers, "Content-Length": length } },
      (response) => {
        const ok = (response.statusCode ?? 500) < 300;
        response.on("end", () =>
          ok ? resolve(undefined) : reject(new Error(`${method} ${url}: ${response.statusCode}`)),
        );
        response.on("error", reject);
        response.resume();
      },
    );
    request.on("error", reject);
    if (typeof body === "string") {
      request.end(body);
      return;
    }
    let left = body;
    const more = () => {
      while (left > 0) {
        const part = left < PIECE_BYTES ? piece.subarray(0, left) : piece;
        left -= part.length;
        if (!request.write(part) && left > 0) {
          request.once("drain", more);
          return;
        }
      }
      request.end();
    };
    more();
  });
}

/** @param {string} url @returns {Promise<{ ended: Promise<string> }>} */
async function openWatch(url) {
  return await new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let text = "";
      /** @type {Promise<string>} */
      const ended = new Promise((done, fail) => {
        response.on("end", () => done(text));
        response.on("error", fail);
      });
      response.on("data", (/** @type {Buffer} */ chunk) => {
        text += chunk.toString();
        resolve({ ended });
      });
    }).on("error", reject);
  });
}
