/**
 * What every store promises about letting go of history, as one suite: `store-suite.ts` runs it.
 */
import type { BatchId, TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { expect } from "vitest";
import type { TaskRow } from "../tasks/task-row.js";
import type { Commit, MilestoneQuery, Store, StoredMilestone } from "./store.js";
import { change, commit, created, type StoreUnderTest } from "./store.test.kit.js";

const BATCH = "b" as BatchId;
const PER_TASK = 4;

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      task: fc.nat(3),
      count: fc.integer({ min: 1, max: 7 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), task: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("expire" as const), task: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: -20, max: 100 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("trim" as const),
      ageMs: fc.nat(30),
      page: fc.integer({ min: 1, max: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("resume" as const),
      at: fc.nat(100),
      limit: fc.integer({ min: 1, max: 4 }),
    }),
  },
);

/** The promise beside the suite's own: whatever is published, let go of and resumed from, in whatever order. */
export async function holdsHistory(
  open: (historyPerTask: number) => Promise<StoreUnderTest>,
  numRuns: number,
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const under = await open(PER_TASK);
      try {
        const model = new Model(under);
        for (let task = 0; task < 4; task += 1) await model.create(task);
        for (const one of steps) {
          if (one.do === "publish")
            await model.publish(
              one.task,
              Array.from({ length: one.count }, () => "stage"),
            );
          if (one.do === "end") await model.publish(one.task, ["stage", "complete"]);
          if (one.do === "expire") await model.expire(one.task);
          if (one.do === "close") await model.close();
          if (one.do === "wait") under.now.ms += one.ms;
          if (one.do === "trim") await model.trim(one.ageMs, one.page);
          if (one.do === "resume") await model.check(one.at, one.limit);
        }
        for (let at = 0; at <= model.newest; at += 1) await model.check(at, 3);
        model.checkEnd();
      } finally {
        await under.release();
      }
    }),
    { numRuns },
  );
}

/** What was committed, and which of it may be gone. */
class Model {
  readonly #store: Store;
  readonly #now: { readonly ms: number };
  readonly #rows: TaskRow[] = [];
  readonly #all: StoredMilestone[] = [];
  readonly #over = new Set<TaskId>();
  readonly #expired = new Set<TaskId>();
  #closed = false;
  /** All up to here was too old at some time: gone, but for endings. */
  #tooOldUpTo = 0;

  constructor({ store, now }: StoreUnderTest) {
    this.#store = store;
    this.#now = now;
    // In the order in which they are told: that is the order of positions.
    store.subscribe(({ milestones }) => this.#all.push(...milestones));
    store.onBatchEnd((_id, end) => this.#all.push(end));
  }

  get newest(): number {
    return this.#all.at(-1)?.position ?? 0;
  }

  async create(task: number): Promise<void> {
    await this.#store.createBatch({ id: BATCH, closed: false, end: null, metadata: {}, createdAtMs: 1 });
    await this.#commit(task, created({ batchId: task < 2 ? BATCH : null }));
  }

  async publish(task: number, events: readonly string[]): Promise<void> {
    const row = this.#row(task);
    if (this.#over.has(row.id)) return;
    const ends = events.includes("complete");
    await this.#commit(task, change({ ...row, ...(ends && { status: "completed" }) }, ...events));
    if (ends) this.#over.add(row.id);
  }

  async close(): Promise<void> {
    await this.#store.closeBatch(BATCH);
    this.#closed = true;
  }

  /** The batch has ended once if it is closed and its tasks have ended, right behind what ended it; else not. */
  checkEnd(): void {
    const ofBatch = this.#rows.filter(({ batchId }) => batchId === BATCH);
    const over = this.#closed && ofBatch.every(({ id }) => this.#over.has(id));
    expect(this.#all.filter(({ taskId }) => taskId === null)).toHaveLength(over ? 1 : 0);
    expect(this.#all.map(({ position }) => position)).toEqual(this.#all.map((_one, index) => index + 1));
  }

  async expire(task: number): Promise<void> {
    const { id } = this.#row(task);
    if (!this.#over.has(id)) return;
    await this.#store.expireTask(id);
    this.#expired.add(id);
  }

  async trim(ageMs: number, page: number): Promise<void> {
    const beforeMs = this.#now.ms - ageMs;
    let pages = 0;
    while (await this.#store.trimMilestones(beforeMs, page)) {
      pages += 1;
      expect(pages).toBeLessThan(1_000);
    }
    const old = this.#all.filter((one) => msOf(one) < beforeMs && one.position < this.newest);
    this.#tooOldUpTo = Math.max(this.#tooOldUpTo, old.at(-1)?.position ?? 0);
  }

  /** Resumes from the milestone at or below `at`, of each task, of tasks together, and of the batch. */
  async check(at: number, limit: number): Promise<void> {
    const after = Math.min(at, this.newest);
    const known = this.#all.find(({ position }) => position === after);
    if (known !== undefined) expect(await this.#store.locate(known.cursor)).toBe(after);
    const queries: MilestoneQuery["of"][] = [{ batchId: BATCH }, { taskIds: this.#rows.map(({ id }) => id) }];
    for (const { id } of this.#rows) queries.push({ taskIds: [id] });
    for (const of of queries) await this.#checkOf(of, after, limit);
  }

  async #checkOf(of: MilestoneQuery["of"], after: number, limit: number): Promise<void> {
    const got: StoredMilestone[] = [];
    let trimmed = await this.#store.readTrimmed(of);
    for (;;) {
      const from = got.at(-1)?.position ?? after;
      const page = await this.#store.readMilestones({ of, after: from, limit, endingsOnlyUpTo: 0 });
      expect(page.trimmed).toEqual(trimmed);
      ({ trimmed } = page);
      got.push(...page.milestones);
      if (page.done) break;
    }
    const mine = this.#all.filter(({ taskId }) =>
      "batchId" in of
        ? taskId === null || this.#rows.some(({ id, batchId }) => id === taskId && batchId === BATCH)
        : taskId !== null && of.taskIds.includes(taskId),
    );
    const wanted = mine.filter(({ position }) => position > after);
    // In order, each once, and nothing that was not asked for.
    expect(got).toEqual(wanted.filter(({ position }) => got.some((one) => one.position === position)));
    const lost = wanted.filter(
      (one) => !got.includes(one) && !got.some(({ position }) => position === one.position),
    );
    // A gap exactly where something is missing, and up to the newest that is. Of a task that is gone nobody is told but its batch.
    const told = lost.findLast(({ taskId }) => "batchId" in of || !this.#isExpired(taskId));
    if (told !== undefined) expect(trimmed).toMatchObject({ position: told.position, cursor: told.cursor });
    else expect(trimmed?.position ?? 0).toBeLessThanOrEqual(after);
    for (const one of lost) this.#checkMayBeGone(one, mine);
    for (const one of got) this.#checkMayBeHeld(one, mine);
  }

  #checkMayBeGone(one: StoredMilestone, mine: readonly StoredMilestone[]): void {
    if (this.#isExpired(one.taskId)) return;
    expect(one.ending).toBe(false);
    const newer = mine.filter(
      ({ taskId, ending, position }) => taskId === one.taskId && !ending && position > one.position,
    );
    expect(newer.length >= PER_TASK || one.position <= this.#tooOldUpTo).toBe(true);
  }

  #checkMayBeHeld(one: StoredMilestone, mine: readonly StoredMilestone[]): void {
    expect(this.#isExpired(one.taskId)).toBe(false);
    if (one.ending) return;
    const newer = mine.filter(
      ({ taskId, ending, position }) => taskId === one.taskId && !ending && position > one.position,
    );
    expect(newer.length).toBeLessThan(PER_TASK);
    expect(one.position).toBeGreaterThan(this.#tooOldUpTo);
  }

  #isExpired(id: TaskId | null): boolean {
    return id !== null && this.#expired.has(id);
  }

  async #commit(task: number, one: Commit): Promise<void> {
    this.#rows[task] = (await commit(this.#store, one)).row;
  }

  #row(task: number): TaskRow {
    const row = this.#rows[task];
    if (row === undefined) throw new Error(`no task ${task}`);
    return row;
  }
}

function msOf({ cursor }: StoredMilestone): number {
  return Number(cursor.split("-")[1]);
}
