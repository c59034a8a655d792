/**
 * A real server process, killed with SIGKILL at random moments, also while it starts, with uploads of every kind, producers
 * and watchers under way. Nothing that was confirmed may be lost, and nothing may be said twice.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { parseCursor } from "@holdfast/protocol";
import { expect, test } from "vitest";
import { makeDataDir, ServerProcess, type ServerExit } from "../harness/server-process.js";
import { SEED, reportResult, WHOLE } from "../harness/run-form.js";
import { runCrew, type CrewOutcome } from "./crew.js";
import { auditStore, type Audit } from "../harness/store-audit.js";
import type { WatchRecord } from "./watch-record.js";
import { World } from "./world.js";

const KILLS = WHOLE ? 200 : 20;
const RUN_MS = WHOLE ? 14 * 60_000 : 100_000;
const CREWS_AT_ONCE = 2;
const MAX_LIFE_MS = 500;
/** One start in so many is killed before it is done. */
const START_KILL = 6;
const FLAGS = ["--heartbeat=200ms", "--progress-interval=50ms", "--min-free-disk=0B", "--log-level=error"];

test(`${KILLS} kills lose no stored byte, reuse no cursor, and leave every task with exactly one ending`, async () => {
  console.log(`seed ${SEED}`);
  const { dataDir, remove } = makeDataDir();
  const startedMs = performance.now();
  const first = await ServerProcess.start({ dataDir, flags: FLAGS });
  let { server } = first;
  const port = Number(new URL(first.url).port);
  const world = new World(first.url, SEED, AbortSignal.timeout(RUN_MS));
  setMaxListeners(0, world.signal); // every watcher listens
  let kills = 0;
  let startKills = 0;
  const running = { value: true };
  const crews = Array.from({ length: CREWS_AT_ONCE }, async (_, lane): Promise<CrewOutcome[]> => {
    const outcomes: CrewOutcome[] = [];
    for (let round = 0; running.value || round === 0; round += 1)
      outcomes.push(await runCrew(world, `crew-${lane}-${round}`));
    return outcomes;
  });

  let outcomes: readonly CrewOutcome[];
  let afterKill: Audit;
  let audit: Audit;
  let exit: ServerExit;
  try {
    while (kills < KILLS && !world.signal.aborted) {
      await pause(world.random.integer(0, MAX_LIFE_MS));
      await server.kill();
      kills += 1;
      server = new ServerProcess({ dataDir, port, flags: FLAGS });
      if (kills < KILLS && world.random.integer(1, START_KILL) === 1) {
        await pause(world.random.integer(0, 400));
        await server.kill();
        kills += 1;
        startKills += 1;
        server = new ServerProcess({ dataDir, port, flags: FLAGS });
      }
      await server.ready;
    }
    running.value = false;
    outcomes = (await Promise.all(crews)).flat();

    await server.kill();
    afterKill = auditStore(dataDir);
    server = new ServerProcess({ dataDir, port, flags: FLAGS });
    await server.ready;
    exit = await server.stop();
    audit = auditStore(dataDir);
  } catch (error) {
    // Whatever was wrong before is likely why it came to nothing.
    throw new Error(`${world.ledger.violations.join("\n")}\n${server.output}`, { cause: error });
  } finally {
    await server.kill();
    remove();
  }

  const { ledger } = world;
  for (const { batchId, taskIds, records } of outcomes) {
    for (const id of taskIds) compare(world, audit, id, records.get(id), (one) => one.taskId === id);
    compare(world, audit, batchId, records.get(batchId), (one) => one.batchId === batchId);
  }
  reportResult("kill", {
    seed: SEED,
    kills,
    startKills,
    seconds: Math.round((performance.now() - startedMs) / 1_000),
    tasks: outcomes.reduce((sum, { taskIds }) => sum + taskIds.length, 0),
    uploadedBytes: outcomes.reduce((sum, { bytes }) => sum + bytes, 0),
    cutOneShots: outcomes.reduce((sum, { cutOneShots }) => sum + cutOneShots, 0),
    milestones: audit.milestones.length,
    cursorsSeen: ledger.cursors,
    violations: ledger.violations.length,
    integrityAfterKill: afterKill.integrity,
    integrityAfterStop: audit.integrity,
  });
  expect(ledger.violations).toEqual([]);
  expect(kills).toBeGreaterThanOrEqual(KILLS);
  expect(afterKill.integrity).toBe("ok");
  expect(audit.integrity).toBe("ok");
  expect(exit.code).toBe(0);
});

/** What a watcher was sent is exactly what the store holds after its start: nothing left out, nothing twice, nothing else. */
function compare(
  { ledger }: World,
  audit: Audit,
  name: string,
  record: WatchRecord | undefined,
  belongs: (milestone: Audit["milestones"][number]) => boolean,
): void {
  const stored = audit.milestones.filter(belongs);
  const from = parseCursor(record?.startedAt ?? "")?.sequence ?? Infinity;
  const expected = stored.filter(({ position }) => position > from).map(({ position }) => position);
  const got = (record?.milestones ?? []).map((cursor) => parseCursor(cursor)?.sequence);
  if (JSON.stringify(got) !== JSON.stringify(expected))
    ledger.violation(
      `${name}: sent ${JSON.stringify(got)}, stored ${JSON.stringify(expected)} after ${from}`,
    );
  const endings = new Map<string, number>();
  const ofTasks = stored.filter(({ event }) => event !== "batchComplete");
  for (const { taskId, ending } of ofTasks)
    endings.set(taskId, (endings.get(taskId) ?? 0) + (ending ? 1 : 0));
  for (const [taskId, count] of endings) {
    if (count !== 1) ledger.violation(`${taskId}: ${count} endings in the store`);
    if (!["completed", "failed"].includes(audit.statuses.get(taskId) ?? ""))
      ledger.violation(`${taskId}: is ${audit.statuses.get(taskId)} in the store`);
  }
}
