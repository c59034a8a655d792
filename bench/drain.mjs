/**
 * Drain: a deploy behind a real proxy. SIGTERM, restart on the same port and directory, while thousands watch and uploads run.
 *
 *   npm run drain [-- --watchers 5000 --window 5 --short]
 *
 * Asked for: every watcher is told when to come back, spread over the window, and its stream ends cleanly; none waits longer than the window
 * plus two seconds; no step or ending is lost, repeated or reordered; every upload ends whole, by its sha256. Worse exits with 1.
 *
 * Method. nginx from Debian (nginx.mjs) in front of the server; watchers in a process of their own (drain-watchers.mjs) on 20 tasks, whose
 * producers report all the time and repeat a report that met nobody, by its Idempotency-Key; uploads (drain-uploads.mjs) that take
 * longer than the restart. The wait of a watcher runs from `drain` (or from a stream that broke off) to the next `connected`, failed attempts
 * included. Then streams are let grow old (drain-age.mjs).
 * The short form, beside much else on the machine, has 2,000 watchers and asks for the longer of window and restart, plus ten seconds.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { comesTrue, post } from "./api.mjs";
import { startCrew } from "./crew-handle.mjs";
import { measureAge } from "./drain-age.mjs";
import { uploadByClient, uploadSlowly } from "./drain-uploads.mjs";
import { startNginx } from "./nginx.mjs";
import { judge, round, writeResult } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";

const TASKS = 20;
const REAL_CLIENTS = 50;
const { values: options } = parseArgs({
  options: {
    watchers: { type: "string" },
    window: { type: "string", default: "5" },
    short: { type: "boolean", default: false },
  },
});
const { short } = options;
const watchers = Number(options.watchers ?? (short ? 2_000 : 5_000));
const windowMs = Number(options.window) * 1_000;
const graceMs = short ? 10_000 : 2_000;
const upload = { bytes: 4_000_000, seconds: short ? 10 : 15 };

const directory = mkdtempSync(join(tmpdir(), "holdfast-drain-"));
const flags = [`--drain-window=${windowMs}ms`, "--min-free-disk=0B", "--heartbeat=5s"];
let server = await startHoldfast(join(directory, "data"), flags);
const port = Number(new URL(server.url).port);
const nginx = await startNginx(join(directory, "nginx"), port);
const crew = startCrew(new URL("drain-watchers.mjs", import.meta.url));
try {
  process.exitCode = await run(nginx.url);
} finally {
  await crew.kill();
  await nginx.stop();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
}

/** @param {string} url of nginx */
async function run(url) {
  const taskIds = Array.from({ length: TASKS }, (_, index) => `drain-${index}`);
  for (const id of taskIds) await post(url, "/tasks", { id });
  const connected = await crew.call("open", {
    url,
    taskIds,
    count: watchers,
    real: REAL_CLIENTS,
    ratePerSecond: 500,
  });
  console.log(`${connected} of ${watchers} watchers connected through nginx`);
  const producing = new AbortController();
  const producers = taskIds.map(async (id) => await produce(url, id, producing.signal));
  for (let index = 0; index < 4; index += 1)
    await post(url, "/uploads", { id: `slow-${index}`, filename: "slow.bin", total: upload.bytes });
  const uploads = [
    ...Array.from({ length: 4 }, async (_, index) => await uploadByClient(url, `client-${index}`, upload)),
    ...Array.from({ length: 4 }, async (_, index) => await uploadSlowly(url, `slow-${index}`, upload)),
  ];
  const sent = Promise.all(uploads);
  sent.catch(() => undefined); // asked below
  await pause(3_000);

  const termMs = performance.now();
  await server.stop();
  const stoppedMs = performance.now() - termMs;
  server = await startHoldfast(join(directory, "data"), [...flags, `--port=${port}`]);
  const upMs = performance.now() - termMs;
  console.log(`SIGTERM: gone after ${round(stoppedMs, 0)} ms, up again after ${round(upMs, 0)} ms`);
  await comesTrue(async () => {
    const { away, back } = await crew.call("away");
    return away === 0 && back >= watchers;
  }, windowMs + 30_000);

  const files = await sent;
  producing.abort();
  const steps = await Promise.all(producers);
  for (const id of taskIds)
    await post(url, `/tasks/${id}/events`, { type: "complete", data: { result: null } });
  await comesTrue(async () => (await crew.call("ended")) === watchers, 20_000);
  const whole = await countWhole(url, files);
  const heard = await crew.call("judge", { steps, windowMs });
  const longest = Math.round((short ? Math.max(windowMs, upMs) : windowMs) + graceMs);
  const age = await measureAge(join(directory, "age"), short ? 2_000 : 500);
  const passed = judge([
    ...age.checks,
    ["watchers connected", connected, watchers, connected === watchers],
    ["told by drain when to come back", heard.drained, watchers, heard.drained === watchers],
    ["streams that broke off without it", heard.brokenOff, 0, heard.brokenOff === 0],
    ["fullest tenth of the window", `× ${heard.fullestTenth}`, "≤ × 1.5", heard.fullestTenth <= 1.5],
    [
      "longest wait",
      `${heard.waitMs.max} ms`,
      `≤ ${longest} ms`,
      heard.waitMs.max <= longest && heard.neverBack === 0,
    ],
    [
      "… of a real client",
      `${heard.maxWaitOfRealMs} ms`,
      `≤ ${longest} ms`,
      heard.maxWaitOfRealMs <= longest,
    ],
    ["steps lost", heard.lost, 0, heard.lost === 0],
    ["steps repeated", heard.repeated, 0, heard.repeated === 0],
    ["watchers that heard them out of order", heard.reordered, 0, heard.reordered === 0],
    [
      "endings missing or repeated",
      heard.endingsMissing + heard.endingsRepeated,
      0,
      heard.endingsMissing + heard.endingsRepeated === 0,
    ],
    ["uploads whole by sha256", whole, uploads.length, whole === uploads.length],
    [
      "uploads that had to resume",
      files.filter(({ resumes }) => resumes > 0).length,
      "≥ 4",
      files.filter(({ resumes }) => resumes > 0).length >= 4,
    ],
  ]);
  console.log(JSON.stringify(heard));
  const figures = {
    windowMs,
    stoppedAfterMs: round(stoppedMs, 0),
    upAgainAfterMs: round(upMs, 0),
    steps: steps.reduce((sum, one) => sum + one, 0),
    ...heard,
    uploads: uploads.length,
    uploadBytes: upload.bytes,
    uploadResumes: files.map(({ resumes }) => resumes),
    uploadsWhole: whole,
    age: age.figures,
  };
  if (!short) console.log(`\n${writeResult("drain", { ...figures, passed })}`);
  return passed ? 0 : 1;
}

/** Two steps a second, each until it was taken; returns how many. @param {string} url @param {string} id @param {AbortSignal} signal */
async function produce(url, id, signal) {
  let step = 0;
  while (!signal.aborted) {
    const taken = await fetch(`${url}/api/v1/tasks/${id}/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Idempotency-Key": `${id}-${step}` },
      body: JSON.stringify({ type: "step", data: step }),
      signal: AbortSignal.timeout(5_000),
    }).then(
      async (answer) => {
        await answer.arrayBuffer();
        return answer.ok;
      },
      () => false, // the server is away, or the answer was: the key makes the repetition harmless
    );
    if (taken) step += 1;
    await pause(taken ? 500 : 100);
  }
  return step;
}

/** @param {string} url @param {readonly import("./drain-uploads.mjs").Sent[]} files */
async function countWhole(url, files) {
  let whole = 0;
  for (const { id, bytes } of files) {
    const task = /** @type {{ status: string }} */ (
      await (await fetch(`${url}/api/v1/uploads/${id}`)).json()
    );
    const content = Buffer.from(await (await fetch(`${url}/api/v1/uploads/${id}/content`)).arrayBuffer());
    const same = sha256(content) === sha256(bytes);
    if (task.status === "completed" && same) whole += 1;
    else
      console.log(`${id}: ${task.status}, ${content.length} of ${bytes.length} bytes, sha256 equal: ${same}`);
  }
  return whole;
}

/** @param {Buffer} bytes */
function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}
