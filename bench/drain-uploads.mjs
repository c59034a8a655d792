/**
 * Uploads of the drain bench that run while the server goes away: by our client in chunks (tus-js-client below it), and by one slow body for each,
 * as a slow link sends it.
 *
 * Both go on where the server says that it is. Resolves when the last byte was taken; rejects after two minutes.
 */
import { randomBytes } from "node:crypto";
import { request as openRequest } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { upload } from "@holdfast/client/upload";

const MAX_MS = 120_000;
const PIECE_BYTES = 16_384;
const TUS = { "Tus-Resumable": "1.0.0" };

/** @typedef {{ id: string, bytes: Buffer, resumes: number }} Sent */

/** @param {string} url @param {string} id @param {{ bytes: number, seconds: number }} size @returns {Promise<Sent>} */
export async function uploadByClient(url, id, { bytes: count, seconds }) {
  const bytes = randomBytes(count);
  const chunkSize = 262_144;
  const pauseMs = (seconds * 1_000) / Math.ceil(count / chunkSize);
  let resumes = 0;
  const sent = upload(new Uint8Array(bytes), {
    baseUrl: `${url}/api/v1`,
    taskId: id,
    filename: `${id}.bin`,
    chunkSize,
    // Asked before each request: that is the pace.
    headers: async () => {
      await pause(pauseMs);
      return {};
    },
    signal: AbortSignal.timeout(MAX_MS),
  });
  let retrying = false;
  sent.subscribe(() => {
    if (sent.retry !== null && !retrying) resumes += 1;
    retrying = sent.retry !== null;
  });
  await sent.done;
  return { id, bytes, resumes };
}

/** @param {string} url @param {string} id @param {{ bytes: number, seconds: number }} size @returns {Promise<Sent>} */
export async function uploadSlowly(url, id, { bytes: count, seconds }) {
  const bytes = randomBytes(count);
  const target = `${url}/api/v1/uploads/${id}`;
  const pauseMs = (seconds * 1_000) / Math.ceil(count / PIECE_BYTES);
  const untilMs = performance.now() + MAX_MS;
  let resumes = -1;
  while (performance.now() < untilMs) {
    const offset = await readOffset(target);
    if (offset === count) return { id, bytes, resumes };
    if (offset !== undefined) {
      resumes += 1;
      await patchSlowly(target, bytes, offset, pauseMs);
    }
    await pause(200);
  }
  throw new Error(`upload ${id} did not end within ${MAX_MS} ms`);
}

/** Undefined while nobody answers. @param {string} target @returns {Promise<number | undefined>} */
async function readOffset(target) {
  try {
    const answer = await fetch(target, { method: "HEAD", headers: TUS, signal: AbortSignal.timeout(5_000) });
    const offset = answer.headers.get("upload-offset");
    return answer.ok && offset !== null ? Number(offset) : undefined;
  } catch {
    return undefined; // the server is away: that is what is tested
  }
}

/** Resolves when it is over, however. @param {string} target @param {Buffer} bytes @param {number} offset @param {number} pauseMs */
async function patchSlowly(target, bytes, offset, pauseMs) {
  let over = false;
  const headers = {
    ...TUS,
    "Upload-Offset": String(offset),
    "Content-Type": "application/offset+octet-stream",
    "Content-Length": bytes.length - offset,
  };
  const request = openRequest(target, { method: "PATCH", headers, agent: false });
  const ended = new Promise((resolve) => {
    const finish = () => {
      over = true;
      resolve(undefined);
    };
    request.on("error", finish);
    request.on("close", finish);
    request.on("response", (response) => {
      response.resume();
      response.on("close", finish);
    });
  });
  for (let at = offset; at < bytes.length && !over; at += PIECE_BYTES) {
    request.write(bytes.subarray(at, at + PIECE_BYTES));
    await pause(pauseMs);
  }
  if (!over) request.end();
  await ended;
  request.destroy();
}
