/** A queue that retries, with workers that are killed, stopped and throw: attempts fence, leases lapse, each job ends once. */
import type { ChildProcess } from "node:child_process";
import { afterEach, expect, test, vi } from "vitest";
import { EventReader } from "../harness/event-reader.js";
import { callJson } from "../harness/http-call.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { JobQueue, type Job } from "./job-queue.js";
import type { News } from "./queue-worker.mjs";

const STEPS = 8;
const BATCH = "jobs";
const PATIENCE = { timeout: 60_000, interval: 50 };
const cleanUps: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

interface Plant {
  readonly url: string;
  readonly queue: JobQueue;
  readonly reader: EventReader;
  readonly news: News[];
}

async function open(
  jobs: readonly Job[],
  leaseSeconds: number,
  onNews: (news: News, worker: ChildProcess) => void,
): Promise<Plant> {
  const { dataDir, remove } = makeDataDir();
  cleanUps.push(remove);
  const { server, url } = await ServerProcess.start({ dataDir, flags: ["--log-level=error"] });
  cleanUps.push(async () => await server.kill());
  for (const { id } of jobs) {
    const json = { id, total: STEPS, unit: "steps", batchId: BATCH, maxAttempts: 3 };
    expect((await callJson(`${url}/api/v1/tasks`, { json })).status).toBe(201);
  }
  const reader = new EventReader(`${url}/api/v1/batches/${BATCH}/stream`);
  cleanUps.push(() => reader.close());
  await reader.first("connected");
  const news: News[] = [];
  const queue = new JobQueue({
    url,
    steps: STEPS,
    leaseSeconds,
    onNews: (one, worker) => {
      news.push(one);
      onNews(one, worker);
    },
  });
  cleanUps.push(() => queue.close());
  return { url, queue, reader, news };
}

/** What the stream said of a job, in order: steps by their attempt, everything else by its name. */
function story({ reader }: Plant, id: string): string[] {
  return reader.frames
    .filter(({ event, data }) => data["taskId"] === id && event !== "progress" && event !== "snapshot")
    .map(({ event, data }) => {
      if (event === "attempt") return `attempt ${String(data["reason"])}`;
      if (event !== "step.done") return event;
      return `step of ${(data["data"] as { attempt: number }).attempt}`;
    });
}

/** Without repeats beside each other. */
function chapters(of: readonly string[]): string[] {
  return of.filter((one, index) => one !== of[index - 1]);
}

test("killed, stopped and throwing workers are followed by the next attempt, the late one is refused, each job ends once", async () => {
  const fates = new Map<string, NodeJS.Signals>([
    ["killed-1", "SIGKILL"],
    ["killed-2", "SIGKILL"],
    ["stopped", "SIGSTOP"],
  ]);
  const stopped: ChildProcess[] = [];
  const jobs: readonly Job[] = [
    ...[...fates.keys(), "quiet-1", "quiet-2"].map((id) => ({ id })),
    { id: "throws", throwsAt: 4 },
  ];
  const plant = await open(jobs, 30, (news, worker) => {
    const fate = fates.get(news.jobId);
    if (news.kind !== "step" || news.step !== 3 || fate === undefined) return;
    fates.delete(news.jobId);
    worker.kill(fate);
    if (fate === "SIGSTOP") stopped.push(worker);
    plant.queue.startWorker();
  });
  for (let worker = 0; worker < 3; worker += 1) plant.queue.startWorker();
  for (const job of jobs) plant.queue.add(job);
  // The one that was stopped wakes while the next attempt is at work.
  await vi.waitFor(() => expect(story(plant, "stopped")).toContain("step of 2"), PATIENCE);
  for (const worker of stopped) worker.kill("SIGCONT");
  await vi.waitFor(() => expect(plant.reader.named("complete")).toHaveLength(jobs.length), PATIENCE);
  await vi.waitFor(
    () => expect(plant.news.filter(({ kind }) => kind === "refused")).toHaveLength(1),
    PATIENCE,
  );

  const taken = ["status", "step of 1", "attempt SUPERSEDED", "step of 2", "complete"];
  for (const id of ["killed-1", "killed-2", "stopped"]) expect(chapters(story(plant, id))).toEqual(taken);
  for (const id of ["quiet-1", "quiet-2"])
    expect(chapters(story(plant, id))).toEqual(["status", "step of 1", "complete"]);
  expect(chapters(story(plant, "throws"))).toEqual(taken.with(2, "attempt OOM"));
  for (const { id } of jobs) {
    const told = story(plant, id);
    expect(told.filter((one) => one === "complete")).toHaveLength(1);
    expect(told.filter((one) => one === told.at(-2))).toHaveLength(STEPS);
    const { json } = await callJson(`${plant.url}/api/v1/tasks/${id}`);
    const attempt = id.startsWith("quiet") ? 1 : 2;
    expect(json).toMatchObject({ status: "completed", attempt, done: STEPS, result: { attempt } });
  }
  const refused = plant.news.find((one) => one.kind === "refused");
  expect(refused).toMatchObject({ jobId: "stopped", attempt: 1 });
  // On a machine so slow that the next attempt has ended by then, the other.
  expect(["STALE_ATTEMPT", "TASK_ENDED"]).toContain(refused?.code);
});

test("with no worker to take over the lease lapses, and the next attempt begins when there is one", async () => {
  let killed = false;
  const plant = await open([{ id: "left" }], 1, (news, worker) => {
    if (killed || news.kind !== "step" || news.step !== 3) return;
    killed = worker.kill("SIGKILL");
  });
  plant.queue.startWorker();
  plant.queue.add({ id: "left" });
  await vi.waitFor(() => expect(story(plant, "left").at(-1)).toBe("attempt PRODUCER_LOST"), PATIENCE);
  plant.queue.startWorker();
  await vi.waitFor(() => expect(plant.reader.named("complete")).toHaveLength(1), PATIENCE);
  expect(chapters(story(plant, "left"))).toEqual([
    "status",
    "step of 1",
    "attempt PRODUCER_LOST",
    "step of 2",
    "complete",
  ]);
});
