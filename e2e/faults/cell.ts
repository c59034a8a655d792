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
import type { Fault, Form } from "./fault.js";
import { monotonicMs } from "./monotonic-clock.js";
import { judge, wholeAgainAtMs, type Verdict, type Watched } from "./oracle.js";
import { Producers } from "./producers.js";
import { WatchParty } from "./watch-party.js";
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

// One after the other, so that a single reader sees a few in each heartbeat and two cores carry ten cells.
const PERIOD_MS = 150;
const CONNECT_MS = 60_000;
const WHOLE_MS = 60_000;
const ENDINGS_MS = 90_000;
const LOOK_EVERY_MS = 200;

export async function runCell(plan: CellPlan, form: Form, signal: AbortSignal): Promise<CellOutcome> {
  const startedAtMs = monotonicMs();
  const random = new SeededRandom(plan.seed);
  const { fault, transport } = plan;
  const many = plan.tasks > 1;
  const stage = fault.stage({ form, tasks: plan.tasks, transport, random });
  const { watchers = 1, payloadBytes = 40, periodMs = PERIOD_MS } = stage;
  const made = stage.dataDir === undefined ? makeDataDir() : undefined;
  const dataDir = stage.dataDir ?? made?.dataDir ?? "";
  const host = stage.host ?? "127.0.0.1";
  const flags = [
    `--host=${host}`,
    ...(stage.host === undefined ? [] : ["--insecure"]),
    `--heartbeat=${form.heartbeatMs}ms`,
    "--min-free-disk=0B",
    "--log-level=error",
  ];
  const env = stage.serverEnv ?? {};
  let server = new ServerProcess({ dataDir, flags, env });
  let party: WatchParty | undefined;
  try {
    const url = await server.ready;
    const port = Number(new URL(url).port);
    const batchId = "cell";
    const taskIds = Array.from({ length: plan.tasks }, (_, index) => `task-${index}`);
    const producers = new Producers({
      url,
      batchId,
      taskIds,
      periodMs: periodMs * plan.tasks,
      payloadBytes,
      random,
      signal,
    });
    await producers.create();
    const targets = Array.from({ length: watchers }, (_, index): WatchTarget => {
      const name = `watcher ${index}`;
      const taskId = taskIds[index % taskIds.length] ?? "";
      if (many && stage.oneTaskEach !== true) return { name, batchId };
      return { name, taskId, crowd: index >= (stage.clients ?? Infinity) };
    });
    const watchUrl = (await stage.route?.(url)) ?? url;
    party = new WatchParty({
      baseUrl: `${watchUrl}/api/v1`,
      transport,
      targets,
      processes: stage.watcherProcesses ?? 1,
      within: stage.within ?? [],
      env: stage.watcherEnv ?? {},
    });
    const watching = party;
    await until("every watcher is connected", CONNECT_MS, signal, async () => {
      const look = await watching.look();
      return look?.connected === watchers;
    });

    producers.start();
    await pause(1_500);
    const { liftedAtMs, evidence } = await stage.strike({
      server: () => server,
      restart: async () => {
        server = new ServerProcess({ dataDir, port, flags, env });
        await server.ready;
      },
      url,
      party: watching,
      producers,
      signal,
    });
    const watched = targets.map(({ taskId }) => new Set(taskId === undefined ? taskIds : [taskId]));
    const isWhole = async (): Promise<boolean> => {
      const look = await watching.look();
      const after = producers.acknowledged.filter(({ atMs }) => atMs >= liftedAtMs);
      return watched.every((ids, index) => {
        const first = after.find(({ taskId }) => ids.has(taskId))?.sequence ?? Infinity;
        return (look?.newest[index] ?? 0) >= first;
      });
    };
    await until("every watcher is whole again", WHOLE_MS, signal, isWhole).catch(() => undefined); // told by the figures
    await pause(1_000);
    // What follows is judged, but no longer timed: endings may meet cuts of their own.
    const timed = [...producers.acknowledged];
    await producers.finish();
    await until("every watcher is done", ENDINGS_MS, signal, async () => {
      const look = await watching.look();
      return look?.over === watchers;
    }).catch(() => undefined); // told by the figures

    const records = await party.report();
    const violations = [...producers.violations];
    const { code } = await server.stop();
    if (code !== 0) violations.push(`SIGTERM ended the server with ${code}: ${server.output}`);
    const audit = auditStore(dataDir);
    if (audit.integrity !== "ok") violations.push(`the database says ${audit.integrity}`);
    const byName = new Map(records.map((record) => [record.name, record]));
    const all = targets.flatMap(({ name }, index): Watched[] => {
      const record = byName.get(name);
      return record === undefined ? [] : [{ record, taskIds: watched[index] ?? new Set() }];
    });
    if (all.length !== watchers) violations.push(`${all.length} of ${watchers} watchers reported`);
    for (const { record } of all) {
      if (record.outcome !== "ended") violations.push(`${record.name}: ${record.outcome ?? "not done"}`);
      if (record.gaps > 0) violations.push(`${record.name}: ${record.gaps} gaps`);
      // A held poll may be silent for longer than a fault lasts, and an answer of it may end as a whole.
      if (stage.severs && transport === "sse" && record.losses === 0)
        violations.push(`${record.name} never had to come back`);
    }
    const wholeAtMs = all.map((one) => wholeAgainAtMs(one, timed, liftedAtMs));
    return {
      fault: fault.name,
      tasks: plan.tasks,
      transport,
      seed: plan.seed,
      evidence,
      watchers,
      connections: sumOf(records.map(({ connections }) => connections)),
      losses: sumOf(records.map(({ losses }) => losses)),
      milestonesStored: audit.milestones.length,
      milestonesHeard: sumOf(records.map(({ milestones }) => milestones.length)),
      progressHeard: sumOf(records.map(({ progressEvents }) => progressEvents)),
      producerRetries: producers.retries,
      verdict: judge(all, { stored: audit.milestones, steps: producers.steps, endings: producers.endings }),
      secondsUntilWhole: toSeconds(
        wholeAtMs.reduce((last, atMs) => Math.max(last, atMs), liftedAtMs) - liftedAtMs,
      ),
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
