/**
 * Every promise about milestones at once: whatever is published, watched, stalled, dropped, trimmed and killed in whatever order, a
 * client that keeps its cursor has heard each milestone exactly once and in order, or was told by a `gap` which span it lacks.
 */
import { parseCursor, type BatchId, type TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { expect, test } from "vitest";
import { idOf, Service, settled, type Watching } from "../testing/service.js";

const PER_TASK = 5;
const BATCH = "b" as BatchId;
const TASKS = 3;
const OF = ["one", "many", "batch"] as const;

interface Committed {
  readonly taskId: TaskId;
  readonly position: number;
}

/** A client over all its connections. */
class Client {
  readonly heard: number[] = [];
  readonly gaps: { readonly from: number; readonly to: number }[] = [];
  readonly of: (typeof OF)[number];
  #watching: Watching | undefined;
  #taken = 0;
  #cursor: string | undefined;
  #start = 0;

  constructor(of: (typeof OF)[number]) {
    this.of = of;
  }

  /** What it must have heard, or have been told that it lacks. */
  due(log: readonly Committed[], ids: readonly TaskId[]): number[] {
    const carried = this.of === "one" ? ids.slice(0, 1) : ids;
    return log
      .filter(({ taskId, position }) => carried.includes(taskId) && position > this.#start)
      .map(({ position }) => position);
  }

  async connect(service: Service, ids: readonly TaskId[], polls: boolean): Promise<void> {
    this.drop();
    const poll = polls ? { waitMs: 60_000, rev: undefined } : undefined;
    if (this.of === "one") this.#watching = await service.watch(ids[0] as TaskId, this.#cursor, poll);
    else if (this.of === "many") this.#watching = await service.watchMany(ids, this.#cursor, poll);
    else this.#watching = await service.watchBatch(BATCH, this.#cursor, poll);
    this.#taken = 0;
  }

  stall(): void {
    const sink = this.#watching?.sink;
    if (sink !== undefined) sink.stalled = true;
  }

  read(): void {
    this.#watching?.sink.read();
    this.#take();
  }

  drop(): void {
    this.#take();
    this.#watching?.sink.destroy();
    this.#watching = undefined;
  }

  #take(): void {
    const frames = this.#watching?.sink.frames ?? [];
    for (const frame of frames.slice(this.#taken)) {
      const id = idOf(frame);
      const event = /^event: (.*)$/m.exec(frame)?.[1];
      if (event === "gap") {
        const { from, to } = JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? "{}") as Record<string, string>;
        this.gaps.push({ from: toPosition(from), to: toPosition(to) });
      }
      if (id === undefined) continue;
      if (event === "gap") expect(toPosition(id)).toBe(this.gaps.at(-1)?.to);
      else if (event !== "connected") this.heard.push(toPosition(id));
      else if (this.#cursor === undefined) this.#start = toPosition(id);
      this.#cursor = id;
    }
    this.#taken = frames.length;
  }
}

function toPosition(cursor: string | undefined): number {
  return parseCursor(cursor ?? "")?.sequence ?? 0;
}

const client = fc.nat(OF.length * 2 - 1);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("publish" as const), task: fc.nat(TASKS - 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("move" as const), task: fc.nat(TASKS - 1) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("end" as const), task: fc.nat(TASKS - 1) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("connect" as const), client, polls: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stall" as const), client }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const), client }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("drop" as const), client }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("crash" as const) }) },
);

test("no interleaving of publish, watch, stall, drop, trim and crash loses, repeats or reorders a milestone unsaid", async () => {
  let gaps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 80 }), async (steps) => {
      let service = new Service(PER_TASK);
      const log: Committed[] = [];
      service.store.subscribe(({ milestones }) => log.push(...milestones));
      const ids: TaskId[] = [];
      for (let task = 0; task < TASKS; task += 1) ids.push((await service.job({ batchId: BATCH })).id);
      const clients = [...OF, ...OF].map((of) => new Client(of));
      for (const one of clients) await one.connect(service, ids, false);
      const over = new Set<TaskId>();
      for (const one of steps) {
        if (one.do === "turn") await settled();
        if (one.do === "crash") {
          await service.die();
          for (const each of clients) each.drop();
          service = new Service(PER_TASK, service);
        }
        if ("client" in one) {
          const target = clients[one.client] as Client;
          if (one.do === "connect") await target.connect(service, ids, one.polls);
          else target[one.do]();
        }
        if (!("task" in one)) continue;
        const id = ids[one.task] as TaskId;
        if (over.has(id)) continue;
        if (one.do === "end") over.add(id);
        await service.tasks.command(id, { type: "report", report: REPORTS[one.do] });
      }
      for (const id of ids) {
        if (!over.has(id)) await service.tasks.command(id, { type: "report", report: REPORTS.end });
      }
      for (const one of clients) {
        // Until everything was heard: a poll brings a page, and one that had the ending says so by a 204.
        for (let turn = 0; turn < 3; turn += 1) await one.connect(service, ids, false);
        one.drop();
        expect(one.heard).toEqual([...new Set(one.heard)].toSorted((a, b) => a - b));
        const lacking = one.due(log, ids).filter((position) => !one.heard.includes(position));
        const unsaid = lacking.filter(
          (position) => !one.gaps.some(({ from, to }) => position > from && position <= to),
        );
        expect(unsaid).toEqual([]);
        gaps += one.gaps.length;
      }
      expect(service.errors).toEqual([]);
      await service.close();
    }),
    { numRuns: 120 },
  );
  // The walk has been where it should.
  expect(gaps).toBeGreaterThan(0);
}, 60_000);

const REPORTS = {
  publish: { type: "custom", name: "note", data: null },
  move: { type: "progress", done: 1 },
  end: { type: "complete", result: null },
} as const;
