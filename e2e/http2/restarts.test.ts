/** Kills and drains under a page that speaks HTTP/2: no event is lost or told twice, and no byte. */
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { callHttp, callJson } from "../harness/http-call.js";
import { randomBytesOf } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { Http2Page } from "./http2-page.js";

const FLAGS = [
  "--http=2",
  "--log-level=error",
  "--min-free-disk=0B",
  "--drain-window=100ms",
  "--heartbeat=500ms",
];
const TUS = { "tus-resumable": "1.0.0" };
const WATCHES = 100;
const RESTARTS = ["kill", "stop", "kill"] as const;
const EVENTS_BETWEEN = 15;

/** Until it is answered, however often the server goes away meanwhile. */
async function report(url: string, n: number, type: string, data: object): Promise<void> {
  for (;;) {
    const answer = await callJson(`${url}/api/v1/tasks/work/events`, {
      json: { type, data },
      headers: { "Idempotency-Key": `event-${n}` },
    }).catch(() => undefined);
    if (answer?.status === 200) return;
    await pause(20);
  }
}

/** By tus, in pieces, going on after whatever comes between. */
async function send(page: Http2Page, bytes: Buffer, pieceBytes: number): Promise<void> {
  const path = "/api/v1/uploads/file";
  for (;;) {
    const head = await page.call({ headers: { ":method": "HEAD", ":path": path, ...TUS } });
    const offset = Number(head.headers["upload-offset"] ?? Number.NaN);
    if (offset === bytes.length) return;
    if (Number.isNaN(offset)) {
      await pause(20);
      continue;
    }
    const headers = {
      ":method": "PATCH",
      ":path": path,
      ...TUS,
      "upload-offset": String(offset),
      "content-type": "application/offset+octet-stream",
    };
    await page.call({ headers, body: bytes.subarray(offset, offset + pieceBytes) });
    await pause(5);
  }
}

test("over kill -9 and drains a hundred streams of one page hear everything once, and a tus upload arrives whole", async () => {
  const { dataDir, remove } = makeDataDir();
  const giveUp = AbortSignal.timeout(90_000);
  setMaxListeners(WATCHES, giveUp);
  const { server: begun, url } = await ServerProcess.start({ dataDir, flags: FLAGS });
  let server = begun;
  const port = Number(new URL(url).port);
  const page = new Http2Page(url);
  try {
    const bytes = randomBytesOf(2, 40_000_000);
    await callJson(`${url}/api/v1/tasks`, { json: { id: "work" } });
    await callJson(`${url}/api/v1/uploads`, { json: { id: "file", filename: "f.bin", total: bytes.length } });
    const watches = Array.from(
      { length: WATCHES },
      async () => await page.watch("/api/v1/tasks/work/stream", giveUp),
    );
    const sent = send(page, bytes, 500_000);
    let n = 0;
    const some = async (): Promise<void> => {
      for (let i = 0; i < EVENTS_BETWEEN; i += 1) await report(url, (n += 1), "page", { n });
    };
    await some();
    for (const how of RESTARTS) {
      const reported = some();
      const exit = await server[how]();
      if (how === "stop" && exit !== undefined) expect([exit.code, exit.signal]).toEqual([0, null]);
      ({ server } = await ServerProcess.start({ dataDir, port, flags: FLAGS }));
      await reported;
    }
    await sent;
    await report(url, 0, "complete", { result: { n } });
    for (const watch of watches) {
      const heard = await watch;
      expect(heard.filter(({ event }) => event === "gap")).toEqual([]);
      const pages = heard
        .filter(({ event }) => event === "page")
        .map(({ data }) => (data["data"] as { n: number }).n);
      // Who came only after the first ones has them in no history of its own: without a cursor nothing old is replayed.
      const first = pages[0] ?? 0;
      expect(first).toBeLessThanOrEqual(EVENTS_BETWEEN);
      expect(pages).toEqual(Array.from({ length: n - first + 1 }, (_, index) => first + index));
      expect(heard.filter(({ event }) => event === "complete")).toHaveLength(1);
    }
    const content = await callHttp(`${url}/api/v1/uploads/file/content`);
    expect(content.body.equals(bytes)).toBe(true);
  } finally {
    page.close();
    await server.kill();
    remove();
  }
});
