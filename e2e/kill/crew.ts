/**
 * A batch with one upload of every kind and two producers' tasks, each watched from its start, and the batch watched whole.
 * Done when every task has ended, every watcher has been answered 204, and what came was compared with what was sent.
 */
import { createHash } from "node:crypto";
import { randomBytesOf } from "../harness/seeded-random.js";
import { Watcher } from "../harness/watcher.js";
import { produceTask, work } from "./producer.js";
import { bringHome, type Upload, type UploadKind } from "./upload-worker.js";
import { WatchRecord } from "./watch-record.js";
import type { World } from "./world.js";

const KINDS: readonly UploadKind[] = [
  "tus",
  "tus-deferred",
  "creation-with-upload",
  "put",
  "put-external",
  "one-shot",
];
const MAX_UPLOAD_BYTES = 3_000_000;

export interface CrewOutcome {
  readonly batchId: string;
  readonly taskIds: readonly string[];
  /** Name of what was watched → what came. */
  readonly records: ReadonlyMap<string, WatchRecord>;
  readonly bytes: number;
  readonly cutOneShots: number;
}

export async function runCrew(world: World, batchId: string): Promise<CrewOutcome> {
  const { ledger, random } = world;
  const records = new Map<string, WatchRecord>();
  const watchers: Watcher[] = [];
  const watch = (name: string, path: string): void => {
    const record = new WatchRecord(name, ledger);
    records.set(name, record);
    watchers.push(
      new Watcher({
        url: world.api(path),
        signal: world.signal,
        onConnect: () => record.connecting(),
        onFrame: (frame) => record.frame(frame),
      }),
    );
  };

  const created = await world.insistJson("/batches", { id: batchId });
  if (created.httpStatus !== 201 && created.httpStatus !== 409)
    ledger.violation(`${batchId}: creation answers ${JSON.stringify(created)}`);
  watch(batchId, `/batches/${batchId}/stream`);

  const uploads = KINDS.map((kind, index): Upload => {
    const bytes = randomBytesOf(random.integer(1, 2 ** 31), random.integer(1, MAX_UPLOAD_BYTES));
    return { id: `${batchId}-${kind}-${index}`, kind, bytes, batchId };
  });
  const producers = [`${batchId}-task-a`, `${batchId}-task-b`];
  const taskIds = [...uploads.map(({ id }) => id), ...producers];
  for (const id of taskIds) watch(id, `/tasks/${id}/stream`);
  const [outcomes] = await Promise.all([
    Promise.all(uploads.map(async (upload) => await finishUpload(world, upload))),
    Promise.all(producers.map(async (id) => await produceTask(world, id, batchId))),
  ]);
  await world.insist(`/batches/${batchId}/close`, { method: "POST" });
  await Promise.all(watchers.map(async ({ done }) => await done));

  for (const id of taskIds) {
    for (const name of [id, batchId]) {
      const endings = records.get(name)?.endingsOf(id) ?? [];
      if (endings.length !== 1)
        ledger.violation(`watcher of ${name} heard ${endings.length} endings of ${id}: ${endings.join(" ")}`);
    }
  }
  const completes = records.get(batchId)?.batchCompletes ?? 0;
  if (completes !== 1) ledger.violation(`watcher of ${batchId} heard ${completes} batchComplete`);
  const batch = await world.insistJson(`/batches/${batchId}`);
  const ended = Number(batch["completed"]) + Number(batch["failed"]) + Number(batch["cancelled"]);
  if (batch["closed"] !== true || ended !== taskIds.length)
    ledger.violation(`${batchId} reads as ${JSON.stringify(batch)}`);
  return {
    batchId,
    taskIds,
    records,
    bytes: uploads.reduce((sum, { bytes }) => sum + bytes.length, 0),
    cutOneShots: outcomes.filter((outcome) => outcome === "cut").length,
  };
}

async function finishUpload(world: World, upload: Upload): Promise<"whole" | "cut"> {
  const { ledger } = world;
  const { id, kind, bytes } = upload;
  await bringHome(world, upload);
  if (kind === "put-external") await work(world, id);
  const task = await world.untilTask(id);
  if (kind === "one-shot" && task["status"] === "failed") {
    const code = (task["error"] as { readonly code?: string } | null)?.code;
    if (code !== "UPLOAD_INCOMPLETE") ledger.violation(`${id}: a cut one-shot failed with ${code}`);
    return "cut";
  }
  if (task["status"] !== "completed") ledger.violation(`${id}: ended as ${JSON.stringify(task)}`);
  if (task["percentage"] !== 100) ledger.violation(`${id}: completed at ${Number(task["percentage"])} %`);
  const content = await world.insist(`/uploads/${id}/content`);
  if (sha256(content.body) !== sha256(bytes))
    ledger.violation(
      `${id}: content is ${content.status}, ${content.body.length} bytes, another sha256 than the source of ${bytes.length}`,
    );
  return "whole";
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
