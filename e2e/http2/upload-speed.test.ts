/**
 * An upload over HTTP/2 at a round trip of 50 ms, beside the same over HTTP/1.1, through a line of 400 Mbit/s and a proxy that delays what the
 * server sends: so WINDOW_UPDATE comes late. With Node's own window of 64 KiB it would take 500 times the round trip, here 25 s. A faster
 * line would compare how much processor client, proxy and server take together, which on two cores is another question.
 */
import { request } from "node:http";
import { once } from "node:events";
import { connect, type ClientHttp2Session } from "node:http2";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { DelayingProxy } from "../faults/delaying-proxy.js";
import { callJson } from "../harness/http-call.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const ROUND_TRIP_MS = 50;
const BYTES = 32 * 1_048_576;
const LINE_BYTES_PER_SECOND = 50_000_000;
const PIECE_BYTES = 262_144;
const ROUNDS = 4;
const LEAST_RATIO = 0.8;

/** As a file is read. */
function toPieces(): Readable {
  const piece = Buffer.alloc(PIECE_BYTES, 7);
  return Readable.from(
    Array.from({ length: BYTES / PIECE_BYTES }, () => piece),
    { highWaterMark: 4 },
  );
}

async function overHttp1(url: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    const put = request(url, { method: "PUT", agent: false }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    });
    put.setHeader("Content-Length", BYTES);
    put.once("error", reject);
    toPieces().pipe(put);
  });
}

/** On a connection that is open, as a page's is when a person drops a file on it. */
async function overHttp2(session: ClientHttp2Session, url: string): Promise<number> {
  return await new Promise((resolve, reject) => {
    session.once("error", reject);
    const headers = { ":method": "PUT", ":path": new URL(url).pathname, "content-length": BYTES };
    const put = session.request(headers);
    put.once("error", reject).once("response", (answer) => resolve(answer[":status"] ?? 0));
    put.resume();
    toPieces().pipe(put);
  });
}

test(`at a round trip of ${ROUND_TRIP_MS} ms an upload over HTTP/2 has at least ${LEAST_RATIO} of the speed of HTTP/1.1`, async () => {
  const { dataDir, remove } = makeDataDir();
  const { server, url } = await ServerProcess.start({
    dataDir,
    flags: ["--http=2", "--log-level=error", "--min-free-disk=0B"],
  });
  const { proxy, url: far } = await DelayingProxy.start({
    host: "127.0.0.1",
    targetPort: Number(new URL(url).port),
    upBytesPerSecond: LINE_BYTES_PER_SECOND,
  });
  proxy.delayMs = ROUND_TRIP_MS;
  const session = connect(far);
  session.setMaxListeners(ROUNDS + 1);
  try {
    await once(session, "remoteSettings");
    const spentMs = { http1: 0, http2: 0 };
    // Who else is on the machine slows now one, now the other: both are summed over rounds that take turns.
    for (let round = 1; round <= ROUNDS; round += 1) {
      const turns = [
        ["http1", overHttp1],
        ["http2", async (address: string) => await overHttp2(session, address)],
      ] as const;
      for (const [name, put] of round % 2 === 0 ? turns : turns.toReversed()) {
        const id = `${name}-${round}`;
        await callJson(`${url}/api/v1/uploads`, { json: { id, filename: "f", total: BYTES } });
        const startedMs = performance.now();
        expect(await put(`${far}/api/v1/uploads/${id}/content`)).toBe(200);
        spentMs[name] += performance.now() - startedMs;
        await callJson(`${url}/api/v1/uploads/${id}`, { method: "DELETE" });
      }
    }
    console.log(
      `upload at 50 ms: HTTP/2 has ${(spentMs.http1 / spentMs.http2).toFixed(2)} of HTTP/1.1's speed`,
    );
    expect(spentMs.http1 / spentMs.http2).toBeGreaterThanOrEqual(LEAST_RATIO);
  } finally {
    session.destroy();
    proxy.close();
    await server.kill();
    remove();
  }
});
