/**
 * One cell of the matrix: a server, producers, watchers; a fault; and when it is lifted, everything to its end and the comparison.
 *
 * The order: all connected, producing, the fault, produced on until every watcher has a milestone stored after the fault was lifted, the
 * endings, every watcher done, the server stopped, its store read.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { StreamTransport } from "@holdfast/client";
import { SeededRandom } from "../harness/seeded-random.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { auditStore } from "../harness/store-audit.js";
import type { Fault, Form, Stage } from "./fault.js";
import { monotonicMs } from "./monotonic-clock.js";
import { judge, wholeAgainAtMs, type Verdict, type Watched } from "./oracle.js";
import { Producers } from "./producers.js";
import { WatchParty } from "./watch-party.js";
import type { WatchRecord } from "./watch-tally.mjs";
import type { WatchTarget } from "./watcher-process.mjs";

export interface CellPlan {
  readonly fault: Fault;
  readonly tasks: number;
  readonly transport: StreamTransport;
  readonly seed: number;
}

export interface CellOutcome {
  readonly fault: string;
  readonly tasks: number;
  readonly transport: StreamTransport;
  readonly seed: number;
  readonly evidence: string;
  readonly watchers: number;
  /** Of all watchers together; over polls, answers. */
  readonly connections: number;
  /** How often one of them broke, or an attempt at one. */
  readonly losses: number;
  readonly milestonesStored: number;
  readonly milestonesHeard: number;
  readonly progressHeard: number;
  readonly producerRetries: number;
  readonly verdict: Verdict;
  /** The last watcher's. */
  readonly secondsUntilWhole: number;
  readonly seconds: number;
  /** What else was not as promised; empty. */
  readonly violations: readonly string[];
}

// One after the other, so that a single reader sees some in each heartbeat and two cores carry ten cells.
const PERIOD_MS = 150;
const PAYLOAD_BYTES = 40;
const BATCH_ID = "cell";
const WARM_UP_MS = 1_500;
const CONNECT_MS = 60_000;
const WHOLE_MS = 60_000;
const ENDINGS_MS = 90_000;
const LOOK_EVERY_MS = 200;

export async function runCell(plan: CellPlan, form: Form, signal: AbortSignal): Promise<CellOutcome> {
  const startedAtMs = monotonicMs();
  const random = new SeededRandom(plan.seed);
  const stage = plan.fault.stage({ form, tasks: plan.tasks, transport: plan.transport, random });
  const made = stage.dataDir === undefined ? makeDataDir() : undefined;
  const dataDir = stage.dataDir ?? made?.dataDir ?? "";
  let server = startServer(stage, form, dataDir, 0);
  let party: WatchParty | undefined;
  try {
    const url = await server.ready;
    const port = Number(new URL(url).port);
    const taskIds = Array.from({ length: plan.tasks }, (_, index) => `task-${index}`);
    const producers = new Producers({
      url,
      batchId: BATCH_ID,
      taskIds,
      periodMs: (stage.periodMs ?? PERIOD_MS) * plan.tasks,
      payloadBytes: stage.payloadBytes ?? PAYLOAD_BYTES,
      random,
      signal,
    });
    await producers.create();
    const targets = toTargets(plan, stage, taskIds);
    const watching = await startParty(plan, stage, url, targets);
    party = watching;
    await until("every watcher is connected", CONNECT_MS, signal, async () => {
      const look = await watching.look();
      return look?.connected === targets.length;
    });

    producers.start();
    await pause(WARM_UP_MS);
    const { liftedAtMs, evidence } = await stage.strike({
      server: () => server,
      restart: async () => {
        server = startServer(stage, form, dataDir, port);
        await server.ready;
      },
      url,
      party,
      producers,
      signal,
    });
    const watched = targets.map(({ taskId }) => new Set(taskId === undefined ? taskIds : [taskId]));
    await until("every watcher is whole again", WHOLE_MS, signal, async () => {
      const look = await watching.look();
      const after = producers.acknowledged.filter(({ atMs }) => atMs >= liftedAtMs);
      return watched.every((ids, index) => {
        const first = after.find(({ taskId }) => ids.has(taskId))?.sequence ?? Infinity;
        return (look?.newest[index] ?? 0) >= first;
      });
    }).catch(() => undefined); // the figures tell
    await pause(1_000);
    // What follows is judged, but no longer timed: endings may meet cuts of their own.
    const timed = [...producers.acknowledged];
    await producers.finish();
    await until("every watcher is done", ENDINGS_MS, signal, async () => {
      const look = await watching.look();
      return look?.over === targets.length;
    }).catch(() => undefined); // the figures tell

    const records = new Map((await party.report()).map((record) => [record.name, record]));
    const all = targets.map(({ name }, index): Watched => {
      const record = records.get(name);
      if (record === undefined) throw new Error(`${name} did not report`);
      return { record, taskIds: watched[index] ?? new Set() };
    });
    const { code } = await server.stop();
    const audit = auditStore(dataDir);
    const violations = [
      ...producers.violations,
      ...(code === 0 ? [] : [`SIGTERM ended the server with ${code}: ${server.output}`]),
      ...(audit.integrity === "ok" ? [] : [`the database says ${audit.integrity}`]),
      ...all.flatMap(({ record }) => findViolations(record, plan, stage)),
    ];
    const wholeAtMs = all.map((one) => wholeAgainAtMs(one, timed, liftedAtMs));
    return {
      fault: plan.fault.name,
      tasks: plan.tasks,
      transport: plan.transport,
      seed: plan.seed,
      evidence,
      watchers: all.length,
      connections: sumOf(all.map(({ record }) => record.connections)),
      losses: sumOf(all.map(({ record }) => record.losses)),
      milestonesStored: audit.milestones.length,
      milestonesHeard: sumOf(all.map(({ record }) => record.milestones.length)),
      progressHeard: sumOf(all.map(({ record }) => record.progressEvents)),
      producerRetries: producers.retries,
      verdict: judge(all, { stored: audit.milestones, steps: producers.steps, endings: producers.endings }),
      secondsUntilWhole: toSeconds(wholeAtMs.reduce((last, atMs) => Math.max(last, atMs)) - liftedAtMs),
      seconds: toSeconds(monotonicMs() - startedAtMs),
      violations: violations.slice(0, 20),
    };
  } finally {
    party?.close();
    await server.kill();
    stage.cleanUp?.();
    made?.remove();
  }
}

function startServer(stage: Stage, form: Form, dataDir: string, port: number): ServerProcess {
  const { host = "127.0.0.1", serverEnv = {} } = stage;
  const flags = [
    `--host=${host}`,
    ...(stage.host === undefined ? [] : ["--insecure"]),
    `--heartbeat=${form.heartbeatMs}ms`,
    "--min-free-disk=0B",
    "--log-level=error",
  ];
  return new ServerProcess({ dataDir, port, flags, env: serverEnv });
}

function toTargets(plan: CellPlan, stage: Stage, taskIds: readonly string[]): readonly WatchTarget[] {
  const { watchers = 1, oneTaskEach = false, clients = Infinity } = stage;
  return Array.from({ length: watchers }, (_, index): WatchTarget => {
    const name = `watcher ${index}`;
    if (plan.tasks > 1 && !oneTaskEach) return { name, batchId: BATCH_ID };
    return { name, taskId: taskIds[index % taskIds.length] ?? "", crowd: index >= clients };
  });
}

async function startParty(
  { transport }: CellPlan,
  stage: Stage,
  serverUrl: string,
  targets: readonly WatchTarget[],
): Promise<WatchParty> {
  const { watcherProcesses = 1, within = [], watcherEnv = {} } = stage;
  const url = (await stage.route?.(serverUrl)) ?? serverUrl;
  return new WatchParty({
    baseUrl: `${url}/api/v1`,
    transport,
    targets,
    processes: watcherProcesses,
    within,
    env: watcherEnv,
  });
}

function findViolations(record: WatchRecord, { transport }: CellPlan, stage: Stage): readonly string[] {
  const { name, outcome, gaps, losses } = record;
  const violations: string[] = [];
  if (outcome !== "ended") violations.push(`${name}: ${outcome ?? "not done"}`);
  if (gaps > 0) violations.push(`${name}: ${gaps} gaps`);
  // A held poll may be silent for longer than a fault lasts, and an answer of it may end as a whole.
  if (stage.severs && transport === "sse" && losses === 0) violations.push(`${name} never had to come back`);
  return violations;
}

async function until(
  what: string,
  withinMs: number,
  signal: AbortSignal,
  holds: () => Promise<boolean>,
): Promise<void> {
  const endMs = monotonicMs() + withinMs;
  while (!(await holds())) {
    if (monotonicMs() > endMs || signal.aborted) throw new Error(`not within ${withinMs} ms: ${what}`);
    await pause(LOOK_EVERY_MS);
  }
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

function toSeconds(ms: number): number {
  return Math.round(ms / 10) / 100;
}
