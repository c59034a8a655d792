/** What must be true of bytes on their way in. */
import { randomBytes } from "node:crypto";
import { comesTrue, leaving, within, type Case } from "./case.js";
import { call, type Exchange } from "./line.js";
import { createUpload, readTask } from "./producer.js";

const MIB = 1_048_576;
// What a proxy may hold back: the windows and buffers on the way, none of which may grow with the upload.
const MAX_HELD_BYTES = 2 * MIB;
const PIECE_BYTES = 65_536;
const SOON_MS = 15_000;
const TUS = { "tus-resumable": "1.0.0" };

export const UPLOAD_CASES: readonly Case[] = [
  {
    name: "upload seen",
    promise:
      "Bytes count while they flow: with 4 of 8 MiB sent, at least 2 are stored, and a watcher can see it.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const task = await createUpload(origin, 8 * MIB);
        const put = keep(
          line.open(`/api/v1/uploads/${task.id}/content`, { method: "PUT", headers: toBytes(8 * MIB) }),
        );
        // A proxy that holds the body takes it all, one that passes it on at the origin's pace as well: 8 MiB are little.
        await sendBytes(put, 4 * MIB);
        let uploaded = 0;
        const seen = await comesTrue(async () => {
          ({ uploaded } = await readTask(origin, task));
          return uploaded >= 4 * MIB - MAX_HELD_BYTES;
        }, SOON_MS);
        await sendBytes(put, 4 * MIB);
        put.finish();
        const { status } = await within(30_000, "an answer", put.head);
        return { ok: seen && status < 300, seen: `${(uploaded / MIB).toFixed(1)} of 4 MiB, then ${status}` };
      }),
  },
  {
    name: "large upload",
    promise: "A large body in one request arrives whole.",
    run: async ({ line, origin, largeBytes }) =>
      await leaving(async (keep) => {
        const task = await createUpload(origin, largeBytes);
        const startedMs = performance.now();
        const put = keep(
          line.open(`/api/v1/uploads/${task.id}/content`, { method: "PUT", headers: toBytes(largeBytes) }),
        );
        const sent = sendBytes(put, largeBytes);
        const { status } = await within(
          120_000,
          "an answer",
          Promise.race([
            put.head,
            sent.then(() => {
              put.finish();
              return put.head;
            }),
          ]),
        );
        const { status: state, uploaded } = await readTask(origin, task);
        const seconds = (performance.now() - startedMs) / 1_000;
        const ok = status < 300 && state === "completed" && uploaded === largeBytes;
        const mibs = largeBytes / MIB;
        return {
          ok,
          seen: ok
            ? `${mibs} MiB, ${Math.round(mibs / seconds)} MiB/s`
            : `${status} after ${(uploaded / MIB).toFixed(1)} MiB`,
        };
      }),
  },
  {
    name: "cut upload",
    promise: "What was sent before a cut is kept: tus goes on where it ended.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const total = 4 * MIB;
        const task = await createUpload(origin, total);
        const path = `/api/v1/uploads/${task.id}`;
        const patch = (offset: number): Exchange =>
          keep(
            line.open(path, {
              method: "PATCH",
              headers: {
                ...TUS,
                ...toBytes(total - offset, "application/offset+octet-stream"),
                "upload-offset": String(offset),
              },
            }),
          );
        const first = patch(0);
        await sendBytes(first, 3 * MIB);
        await comesTrue(
          async () => (await readTask(origin, task)).uploaded >= 3 * MIB - MAX_HELD_BYTES,
          SOON_MS,
        );
        first.leave();
        await first.end;
        const { headers } = await call(line, path, { method: "HEAD", headers: TUS });
        const offset = Number(headers["upload-offset"]);
        const second = patch(offset);
        await sendBytes(second, total - offset);
        second.finish();
        const { status } = await within(30_000, "an answer", second.head);
        const kept = `${(offset / MIB).toFixed(1)} of 3 MiB kept`;
        return {
          ok: status === 204 && offset >= MIB,
          seen: status === 204 ? kept : `${kept}, then ${status}`,
        };
      }),
  },
];

function toBytes(length: number, type = "application/octet-stream"): { readonly [name: string]: string } {
  return { "content-type": type, "content-length": String(length) };
}

async function sendBytes(exchange: Exchange, length: number): Promise<void> {
  const piece = randomBytes(PIECE_BYTES);
  let gone = false;
  void exchange.end.then(() => (gone = true));
  for (let left = length; left > 0 && !gone; left -= PIECE_BYTES)
    await exchange.send(left < PIECE_BYTES ? piece.subarray(0, left) : piece);
}
