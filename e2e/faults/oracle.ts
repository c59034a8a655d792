/**
 * Compares what watchers heard with what the store committed and what producers were told. Pure: records in, counts out.
 *
 * A milestone is owed to a watcher when the store holds it after the cursor of the watcher's first `connected`. Whatever was owed and
 * not heard is lost; whatever was heard again is repeated; whatever came after one of a higher cursor is reordered.
 */
import type { AuditedMilestone } from "../harness/store-audit.js";
import type { Acknowledged } from "./producers.js";
import type { WatchRecord } from "./watch-tally.mjs";

export interface Verdict {
  readonly milestonesLost: number;
  readonly milestonesRepeated: number;
  readonly milestonesReordered: number;
  readonly progressBackward: number;
  readonly endingsMissing: number;
  readonly endingsDoubled: number;
}

/** The promise. */
export const ZEROS: Verdict = {
  milestonesLost: 0,
  milestonesRepeated: 0,
  milestonesReordered: 0,
  progressBackward: 0,
  endingsMissing: 0,
  endingsDoubled: 0,
};

export interface Watched {
  readonly record: WatchRecord;
  readonly taskIds: ReadonlySet<string>;
}

export interface Produced {
  readonly stored: readonly AuditedMilestone[];
  /** Steps that were confirmed, by task. */
  readonly steps: ReadonlyMap<string, number>;
  readonly endings: ReadonlyMap<string, string>;
}

const ENDINGS: ReadonlySet<string> = new Set(["complete", "failed", "cancelled"]);

export function judge(watched: readonly Watched[], produced: Produced): Verdict {
  const sum = { ...ZEROS, milestonesLost: countUnstored(produced) };
  for (const { record, taskIds } of watched) {
    const owed = produced.stored.filter(
      ({ taskId, position }) => taskIds.has(taskId) && position > (record.startedAt ?? 0),
    );
    const heard = new Set<number>();
    let newest = 0;
    for (const { sequence } of record.milestones) {
      if (heard.has(sequence)) sum.milestonesRepeated += 1;
      else if (sequence < newest) sum.milestonesReordered += 1;
      heard.add(sequence);
      newest = Math.max(newest, sequence);
    }
    sum.milestonesLost += owed.filter(({ position }) => !heard.has(position)).length;
    sum.milestonesReordered += countMisnumbered(record);
    sum.progressBackward += record.progressBackward;
    for (const taskId of taskIds) {
      const endings = record.milestones.filter((one) => one.taskId === taskId && ENDINGS.has(one.event));
      // The right one: another than its producer's is none.
      if (!endings.some(({ event }) => event === produced.endings.get(taskId))) sum.endingsMissing += 1;
      sum.endingsDoubled += Math.max(0, endings.length - 1);
    }
  }
  for (const taskId of produced.endings.keys()) {
    const endings = produced.stored.filter((one) => one.taskId === taskId && one.ending).length;
    if (endings === 0) sum.endingsMissing += 1;
    sum.endingsDoubled += Math.max(0, endings - 1);
  }
  return sum;
}

// Under load an event may take some hundred milliseconds; later than this it waited for something to be mended.
const PROMPT_MS = 1_000;

/**
 * When everything was heard again: the first sign of life after the fault was lifted, every milestone that was stored before it, and every
 * later one that took more than a second. Infinity when one of them never came.
 */
export function wholeAgainAtMs(
  { record, taskIds }: Watched,
  acknowledged: readonly Acknowledged[],
  liftedAtMs: number,
): number {
  const heardAtMs = new Map(record.milestones.map(({ sequence, atMs }) => [sequence, atMs]));
  let wholeAtMs = record.aliveAtMs.find((atMs) => atMs >= liftedAtMs) ?? Infinity;
  for (const { sequence, taskId, atMs: storedAtMs } of acknowledged) {
    if (!taskIds.has(taskId)) continue;
    const atMs = heardAtMs.get(sequence) ?? Infinity;
    const late = atMs - storedAtMs > PROMPT_MS;
    if ((storedAtMs < liftedAtMs && atMs >= liftedAtMs) || (storedAtMs >= liftedAtMs && late))
      wholeAtMs = Math.max(wholeAtMs, atMs);
  }
  return wholeAtMs;
}

/** Confirmed to a producer, and not in the store: one number after the other, each once. */
function countUnstored({ stored, steps }: Produced): number {
  let lost = 0;
  for (const [taskId, count] of steps) {
    const inStore = stored.filter((one) => one.taskId === taskId && one.event === "step.done").length;
    lost += Math.max(0, count - inStore);
  }
  return lost;
}

/** Steps are numbered by their producer, whatever the cursors say. A number left out is lost, which cursors tell. */
function countMisnumbered({ milestones }: WatchRecord): number {
  const last = new Map<string, number>();
  let misnumbered = 0;
  for (const { taskId, step } of milestones) {
    if (step === null) continue;
    if (step <= (last.get(taskId) ?? 0)) misnumbered += 1;
    last.set(taskId, step);
  }
  return misnumbered;
}
