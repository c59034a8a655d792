/**
 * A kill between the last byte and the ending: the bytes are whole, nobody will send any more, and the completion must
 * come all the same. The delay between the last byte and the kill is steered to where both outcomes meet.
 */
import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { parseCursor } from "@holdfast/protocol";
import { expect, test } from "vitest";
import { callHttp, callJson } from "../harness/http-call.js";
import { reportResult, SEED, WHOLE } from "../harness/run-form.js";
import { randomBytesOf, SeededRandom } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { Watcher } from "../harness/watcher.js";
import { Ledger } from "./ledger.js";
import { WatchRecord } from "./watch-record.js";

const ROUNDS = WHOLE ? 80 : 10;
/** Kills that must have hit between the last byte and the ending, or the run has shown nothing. */
const MIN_BETWEEN = WHOLE ? 10 : 1;
const MAX_ROUNDS = 3 * ROUNDS;
const RUN_MS = WHOLE ? 10 * 60_000 : 90_000;
const FLAGS = ["--heartbeat=1s", "--min-free-disk=0B", "--log-level=error"];
const TUS = { "Tus-Resumable": "1.0.0" };
const BYTES = 200_000;
/** After the restart nobody says anything: the server alone must come to the ending within this. */
const COMPLETES_WITHIN_MS = 3_000;

test(`a kill right around the last byte loses no completion, in ${ROUNDS} rounds or more`, async () => {
  console.log(`seed ${SEED}`);
  const { dataDir, remove } = makeDataDir();
  const ledger = new Ledger();
  const random = new SeededRandom(SEED);
  const signal = AbortSignal.timeout(RUN_MS);
  const first = await ServerProcess.start({ dataDir, flags: FLAGS });
  const { url } = first;
  let { server } = first;
  const port = Number(new URL(url).port);
  const outcomes = { early: 0, between: 0, late: 0 };
  let delayMs = 2;
  try {
    for (
      let round = 0;
      round < MAX_ROUNDS && (round < ROUNDS || outcomes.between < MIN_BETWEEN);
      round += 1
    ) {
      const id = `last-${round}`;
      const bytes = randomBytesOf(SEED + round, BYTES);
      await callJson(`${url}/api/v1/uploads`, { json: { id, filename: "last.bin", total: BYTES } });
      const record = new WatchRecord(id, ledger);
      const watcher = new Watcher({
        url: `${url}/api/v1/tasks/${id}/stream`,
        signal,
        onConnect: () => record.connecting(),
        onFrame: (frame) => record.frame(frame),
      });
      const put = round % 2 === 1;
      await sendAndKill({ server, port, id, bytes, put, delayMs: delayMs * (0.5 + random.next()) });
      const killedMs = Date.now();
      server = new ServerProcess({ dataDir, port, flags: FLAGS });
      await server.ready;

      const head = await callHttp(`${url}/api/v1/uploads/${id}`, { method: "HEAD", headers: TUS });
      const offset = Number(head.headers["upload-offset"]);
      if (offset < BYTES) {
        outcomes.early += 1;
        delayMs *= 1.3;
        await callHttp(`${url}/api/v1/uploads/${id}`, {
          method: "PATCH",
          headers: {
            ...TUS,
            "Upload-Offset": String(offset),
            "Content-Type": "application/offset+octet-stream",
          },
          body: bytes.subarray(offset),
        });
      }
      const startedMs = performance.now();
      let task = await callJson(`${url}/api/v1/uploads/${id}`);
      while (task.json["status"] !== "completed" && performance.now() - startedMs < COMPLETES_WITHIN_MS) {
        await pause(20);
        task = await callJson(`${url}/api/v1/uploads/${id}`);
      }
      if (task.json["status"] !== "completed") {
        ledger.violation(
          `${id}: offset ${offset} of ${BYTES} after the kill, then ${JSON.stringify(task.json)}`,
        );
        continue;
      }
      await watcher.done;
      if (record.endingsOf(id).length !== 1)
        ledger.violation(`${id}: ${record.endingsOf(id).length} endings`);
      if (offset === BYTES) {
        const endedMs = parseCursor(record.milestones.at(-1) ?? "")?.ms ?? 0;
        if (endedMs > killedMs) outcomes.between += 1;
        else {
          outcomes.late += 1;
          delayMs /= 1.3;
        }
      }
      const content = await callHttp(`${url}/api/v1/uploads/${id}/content`);
      if (!content.body.equals(bytes)) ledger.violation(`${id}: content differs`);
    }
  } finally {
    await server.kill();
    remove();
  }
  reportResult("kill-last-byte", {
    seed: SEED,
    outcomes,
    violations: ledger.violations.length,
  });
  expect(ledger.violations).toEqual([]);
  expect(outcomes.between).toBeGreaterThanOrEqual(MIN_BETWEEN);
});

interface LastByte {
  readonly server: ServerProcess;
  readonly port: number;
  readonly id: string;
  readonly bytes: Buffer;
  readonly put: boolean;
  readonly delayMs: number;
}

/** Everything but the last kilobyte, a pause for it to be stored, the rest, and the kill so long after it. */
async function sendAndKill({ server, port, id, bytes, put, delayMs }: LastByte): Promise<void> {
  const head = put
    ? [`PUT /api/v1/uploads/${id}/content HTTP/1.1`, "Content-Type: application/octet-stream"]
    : [
        `PATCH /api/v1/uploads/${id} HTTP/1.1`,
        "Tus-Resumable: 1.0.0",
        "Upload-Offset: 0",
        "Content-Type: application/offset+octet-stream",
      ];
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined); // the kill cuts it
  socket.resume();
  await new Promise<void>((resolve) => void socket.once("connect", () => resolve()));
  socket.setNoDelay(true);
  socket.write([...head, "Host: 127.0.0.1", `Content-Length: ${bytes.length}`, "", ""].join("\r\n"));
  socket.write(bytes.subarray(0, -1_024));
  await pause(40);
  const sentMs = performance.now();
  socket.write(bytes.subarray(-1_024));
  // No timer is this exact, and the kernel has the bytes already.
  while (performance.now() - sentMs < delayMs);
  await server.kill();
  socket.destroy();
}
