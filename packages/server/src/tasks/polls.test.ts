/**
 * Polls, and clients that change between polls and streams, over tasks, a store in memory and sinks of paper.
 */
import type { BatchId, TaskId } from "@holdfast/protocol";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../http/served.test.kit.js";
import { HISTORY_MS, idOf, Service, settled, type Watching } from "../testing/service.js";
import type { Command } from "./lifecycle.js";
import type { PollRequest } from "./streams.js";

let service: Service;

beforeEach(() => {
  service = new Service();
});

afterEach(async () => {
  expect(service.errors).toEqual([]);
  expect(service.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
  await service.close();
});

const held = (rev?: string): PollRequest => ({ waitMs: 60_000, rev });
const revOf = ({ sink }: Watching): string | undefined => {
  const rev = sink.data("heartbeat").at(-1)?.["rev"];
  return typeof rev === "string" ? rev : undefined;
};
const cursorOf = ({ sink }: Watching): string | undefined =>
  sink.frames.map(idOf).findLast((id) => id !== undefined);
const report = (done: number): Command => ({ type: "report", report: { type: "progress", done } });
const note = { type: "report", report: { type: "custom", name: "note", data: 1 } } as const;
const ended = async ({ sink }: Watching): Promise<void> => await until(() => sink.ended);

test("without a cursor a poll is answered at once, with the snapshot, the cursor and the rev to ask with", async () => {
  const { id, rev, cursor } = await service.upload();
  const { sink, reports } = await service.watch(id, undefined, held());
  expect(sink.events).toEqual(["connected", "heartbeat"]);
  expect(sink.data("heartbeat")[0]).toMatchObject({ cursor, rev: String(rev) });
  expect(sink.ended).toBe(true);
  expect(reports).toMatchObject([{ reason: "answered", finished: true }]);
});

test("with a cursor a poll is held until a milestone after it exists, and connected alone never ends it", async () => {
  const { id, cursor, rev } = await service.job();
  const watching = await service.watch(id, cursor, held(String(rev)));
  await settled();
  expect(watching.sink.events).toEqual(["connected"]);
  expect(watching.sink.ended).toBe(false);
  await service.tasks.command(id, note);
  await settled();
  expect(watching.sink.events).toEqual(["connected", "status", "note", "progress", "heartbeat"]);
  expect(watching.sink.ended).toBe(true);
});

test("a milestone that was committed before the poll answers it at once", async () => {
  const { id, cursor } = await service.job();
  await service.tasks.command(id, note);
  const { sink } = await service.watch(id, cursor, held());
  expect(sink.events).toEqual(["connected", "status", "note", "heartbeat"]);
  expect(sink.ended).toBe(true);
});

test("a poll is held while the revision is the client's, and answered with progress when it differs", async () => {
  const { id } = await service.upload();
  const hold = await service.tasks.hold(id);
  await service.tasks.command(id, { type: "begin", oneShot: false });
  const first = await service.watch(id, undefined, held());
  const asked = [cursorOf(first), held(revOf(first))] as const;
  const waiting = await service.watch(id, ...asked);
  await settled();
  expect(waiting.sink.events).toEqual(["connected"]);
  hold.stored(40);
  await ended(waiting);
  expect(waiting.sink.data("progress").map(({ done }) => done)).toEqual([40]);
  // The same question again: what the client has not seen is told as progress, also when nothing moves any more.
  const again = await service.watch(id, ...asked);
  await ended(again);
  expect(again.sink.data("progress").map(({ done }) => done)).toEqual([40]);
  hold.release();
});

test("without rev the snapshot of connected stands for what the client has seen", async () => {
  const { id } = await service.upload();
  const hold = await service.tasks.hold(id);
  await service.tasks.command(id, { type: "begin", oneShot: false });
  hold.stored(40);
  const watching = await service.watch(id, hold.row.cursor, held());
  await settled();
  expect(watching.sink.events).toEqual(["connected"]);
  hold.stored(41);
  await ended(watching);
  hold.release();
});

test("wait ends a poll that has nothing to say", async () => {
  const { id, cursor, rev } = await service.upload();
  const watching = await service.watch(id, cursor, { waitMs: 30, rev: String(rev) });
  expect(watching.sink.ended).toBe(false);
  await ended(watching);
  expect(watching.sink.events).toEqual(["connected", "heartbeat"]);
  expect(revOf(watching)).toBe(String(rev));
});

test("the ending comes once; whoever has seen it gets no content, by poll as by stream", async () => {
  const { id, cursor } = await service.upload();
  const watching = await service.watch(id, cursor, held());
  await service.receive(id);
  await settled();
  const next = await service.watch(id, cursorOf(watching), held(revOf(watching)));
  expect([...watching.sink.events, ...next.sink.events].filter((event) => event === "complete")).toHaveLength(
    1,
  );
  expect(next.sink.ended).toBe(true);
  expect((await service.watch(id, cursorOf(next), held())).outcome).toBe("no-content");
});

test("a foreign cursor is answered at once with a gap", async () => {
  const { id } = await service.upload();
  const { sink } = await service.watch(id, "deadbeef-1700000000000-1", held());
  expect(sink.events).toEqual(["connected", "gap", "heartbeat"]);
  expect(sink.ended).toBe(true);
});

test("a cursor of ours whose history has gone gets the gap and all snapshots, and makes no hot loop", async () => {
  const batchId = "b" as BatchId;
  const { id } = await service.job({ batchId });
  const { id: other, cursor } = await service.job({ batchId });
  const leased: Command = { type: "report", report: { ...note.report, leaseSeconds: 1_000_000 } };
  await service.tasks.command(id, leased);
  await service.tasks.command(other, leased);
  const first = await service.watchBatch(batchId, undefined, held());
  service.clock.nowMs += HISTORY_MS + 1;
  await service.job();
  await service.deadlines.look();
  const watching = await service.watchBatch(batchId, cursor, held(revOf(first)));
  expect(watching.sink.data("gap")).toMatchObject([{ taskId: null, from: cursor }]);
  expect(watching.sink.data("snapshot")).toHaveLength(2);
  await settled();
  expect(watching.sink.ended).toBe(false);
  await service.tasks.command(id, note);
  await settled();
  expect(watching.sink.ended).toBe(true);
  expect(watching.sink.events).toContain("note");
});

test("a client that goes away leaves nothing behind", async () => {
  const { id, cursor } = await service.upload();
  const { sink, reports } = await service.watch(id, cursor, held());
  expect(service.engine.stats.sessions).toBe(1);
  sink.destroy();
  expect(reports).toMatchObject([{ reason: "peer-gone" }]);
});

test("drain answers held polls at once and tells them when to come back", async () => {
  const { id, cursor } = await service.upload();
  const { sink } = await service.watch(id, cursor, held());
  await service.engine.drain(1_000);
  expect(sink.events).toEqual(["connected", "drain"]);
  expect(sink.ended).toBe(true);
});

test("a long history comes in bounded pages, each milestone once", async () => {
  const { id, cursor: from } = await service.job();
  const big = { type: "report", report: { type: "custom", name: "big", data: "x".repeat(50_000) } } as const;
  for (let count = 0; count < 20; count += 1) await service.tasks.command(id, big);
  const ids: string[] = [];
  let cursor = from;
  let polls = 0;
  while (ids.length < 20) {
    const watching = await service.watch(id, cursor, held());
    await ended(watching);
    const got = watching.sink.frames.filter((frame) => frame.includes("event: big\n"));
    expect(got.length).toBeLessThanOrEqual(6);
    ids.push(...got.map((frame) => idOf(frame) ?? ""));
    cursor = (cursorOf(watching) ?? "") as typeof from;
    polls += 1;
  }
  expect(new Set(ids).size).toBe(20);
  expect(polls).toBe(4);
});

test("a reader too slow for the page gets a clean end before the bound, and the rest by its cursor", async () => {
  const { id, cursor: from } = await service.job();
  const big = { type: "report", report: { type: "custom", name: "big", data: "x".repeat(30_000) } } as const;
  const watching = await service.watch(id, from, held());
  watching.sink.stalled = true;
  for (let count = 0; count < 5; count += 1) await service.tasks.command(id, big);
  expect(watching.sink.queuedBytes).toBeLessThan(65_536);
  expect(watching.sink.ended).toBe(false);
  watching.sink.read();
  await ended(watching);
  expect(watching.reports).toMatchObject([{ reason: "answered", finished: true }]);
  const rest = await service.watch(id, cursorOf(watching), held());
  await ended(rest);
  const got = [...watching.sink.events, ...rest.sink.events].filter((event) => event === "big");
  expect(got).toHaveLength(5);
});

test("of many tasks a poll brings again those alone that have changed since its rev", async () => {
  const batchId = "b" as BatchId;
  const one = await service.upload({ batchId });
  const two = await service.upload({ batchId });
  const hold = await service.tasks.hold(two.id);
  await service.tasks.command(two.id, { type: "begin", oneShot: false });
  const first = await service.watchBatch(batchId, undefined, held());
  expect(first.sink.data("snapshot")).toHaveLength(2);
  const asked = [cursorOf(first), held(revOf(first))] as const;
  const waiting = await service.watchBatch(batchId, ...asked);
  await settled();
  expect(waiting.sink.ended).toBe(false);
  expect(waiting.sink.events).not.toContain("snapshot");
  hold.stored(50);
  await ended(waiting);
  expect(waiting.sink.data("progress")).toMatchObject([{ taskId: two.id, done: 50 }]);
  expect(waiting.sink.data("batch").at(-1)).toMatchObject({ uploaded: 50 });
  const again = await service.watchBatch(batchId, ...asked);
  await ended(again);
  expect(again.sink.data("snapshot").map(({ task }) => (task as { id: string }).id)).toEqual([two.id]);
  expect(again.sink.data("progress")).toMatchObject([{ taskId: two.id, done: 50 }]);
  // Of a rev of another process nothing is known: everything may have changed.
  const other = await service.watchBatch(batchId, cursorOf(first), held("0123456789ab.7"));
  await ended(other);
  expect(other.sink.data("snapshot")).toHaveLength(2);
  expect(one.id).not.toBe(two.id);
  hold.release();
});

test("a poll of a thousand tasks costs what has moved: their ids, and the tasks that did", async () => {
  const batchId = "b" as BatchId;
  const ids: TaskId[] = [];
  for (let count = 0; count < 1_000; count += 1) ids.push((await service.job({ batchId })).id);
  const [moved] = ids;
  if (moved === undefined) throw new Error("no task");
  await service.tasks.command(moved, report(1));
  const first = await service.watchBatch(batchId, undefined, held());
  await ended(first);
  expect(first.sink.data("snapshot")).toHaveLength(1_000);
  const waiting = service.watchBatch(batchId, cursorOf(first), held(revOf(first)));
  await service.tasks.progress(moved, report(2));
  const second = await waiting;
  await ended(second);
  expect(second.sink.data("progress")).toMatchObject([{ taskId: moved, done: 2 }]);
  expect(second.sink.data("snapshot").length).toBeLessThanOrEqual(1);
  const [{ bytes: whole } = { bytes: 0 }] = first.reports;
  const [{ bytes } = { bytes: 0 }] = second.reports;
  expect(bytes).toBeLessThan(30_000);
  expect(whole).toBeGreaterThan(15 * bytes);
});

/** A client that keeps a cursor, a rev and what it has heard, and asks by stream or by poll. */
class Alternating {
  readonly milestones: string[] = [];
  readonly done = new Map<string, number>();
  readonly endings: string[] = [];
  backward = false;
  readonly #open: (cursor: string | undefined, poll: PollRequest | undefined) => Promise<Watching>;
  #watching: Watching | undefined;
  #cursor: string | undefined;
  #rev: string | undefined;
  #taken = 0;
  over = false;

  constructor(open: (cursor: string | undefined, poll: PollRequest | undefined) => Promise<Watching>) {
    this.#open = open;
  }

  /** Asks, unless a response is still being read. */
  async ask(transport: "sse" | "poll", withRev: boolean, waitMs = 60_000): Promise<void> {
    this.read();
    if (this.over || (this.#watching !== undefined && !this.#watching.sink.ended)) return;
    const rev = withRev ? this.#rev : undefined;
    this.#taken = 0;
    this.#watching = await this.#open(this.#cursor, transport === "poll" ? { waitMs, rev } : undefined);
    if (this.#watching.outcome === "no-content") this.over = true;
    this.read();
  }

  /** Takes the next events of the response; all there are unless bounded. */
  read(atMost = Infinity): void {
    for (const frame of (this.#watching?.sink.frames ?? []).slice(this.#taken, this.#taken + atMost)) {
      this.#taken += 1;
      this.#hear(frame);
    }
  }

  /** The link breaks after some events; what was sent behind them never arrives. */
  cut(after: number): void {
    this.read(after);
    this.#watching?.sink.destroy();
    this.#watching = undefined;
  }

  #hear(frame: string): void {
    const event = /^event: (.*)$/m.exec(frame)?.[1] ?? "";
    const data = JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? "null") as {
      rev?: string;
      taskId?: string;
      done?: number;
      task?: { id: string; done: number };
    };
    const id = idOf(frame);
    if (id !== undefined) this.#cursor = id;
    if (id !== undefined && event !== "connected") this.milestones.push(id);
    if (event === "heartbeat" && data.rev !== undefined) this.#rev = data.rev;
    if (event === "complete") this.endings.push(data.taskId ?? "");
    if (event === "progress") this.#see(data.taskId ?? "", data.done ?? 0);
    if (data.task !== undefined) this.#see(data.task.id, data.task.done);
  }

  #see(task: string, done: number): void {
    if (done < (this.done.get(task) ?? 0)) this.backward = true;
    this.done.set(task, done);
  }
}

const anyStep = fc.record({
  task: fc.nat(3),
  deed: fc.constantFrom("milestone", "progress", "progress", "nothing", "add", "finish"),
  client: fc.constantFrom("read", "ask", "ask", "cut", "switch", "switch"),
  after: fc.nat(4),
  transport: fc.constantFrom("sse", "poll", "poll"),
  withRev: fc.boolean(),
  pause: fc.boolean(),
});

test.each(["one", "many"] as const)(
  "a client that alternates between stream and poll at random, cut at random, sees every milestone of %s once and the newest progress",
  async (kind) => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyStep, { minLength: 1, maxLength: 30 }), async (steps) => {
        const world = new Service();
        const batchId = "b" as BatchId;
        const ids = [(await world.job({ batchId, total: 1_000 })).id];
        const stored: string[] = [];
        world.store.subscribe(({ milestones }) => stored.push(...milestones.map(({ cursor }) => cursor)));
        if (kind === "many") world.store.onBatchEnd((_id, { cursor }) => stored.push(cursor));
        const [first] = ids;
        if (first === undefined) throw new Error("no task");
        const client = new Alternating(async (cursor, poll) =>
          kind === "one"
            ? await world.watch(first, cursor, poll)
            : await world.watchBatch(batchId, cursor, poll),
        );
        await client.ask("poll", false);
        const over = new Set<string>();
        const done = new Map<string, number>();
        for (const { task, deed, client: deedOfClient, after, transport, withRev, pause } of steps) {
          const id = ids[task % ids.length] ?? first;
          const live = !over.has(id);
          if (deed === "milestone" && live) await world.tasks.command(id, note);
          if (deed === "progress" && live) {
            const next = (done.get(id) ?? 0) + 1;
            done.set(id, next);
            const told = await world.tasks.progress(id, report(next));
            if (!told) await world.tasks.command(id, report(next));
          }
          if (deed === "add" && kind === "many") {
            ids.push((await world.job({ batchId, total: 1_000 })).id);
          }
          if (deed === "finish" && live) {
            await world.tasks.command(id, { type: "report", report: { type: "complete", result: null } });
            over.add(id);
          }
          if (pause) await settled();
          if (deedOfClient === "read") client.read(after);
          if (deedOfClient === "ask") await client.ask(transport, withRev);
          if (deedOfClient === "cut" || deedOfClient === "switch") client.cut(after);
          if (deedOfClient === "switch") await client.ask(transport, withRev);
        }
        // The world stands still: a few more polls, and the client knows everything.
        await world.batches.close(batchId);
        client.cut(0);
        for (let polls = 0; polls < 3; polls += 1) {
          await client.ask("poll", true, 0);
          await until(() => {
            client.read();
            return world.engine.stats.sessions === 0;
          });
        }
        client.read();
        expect(client.milestones).toEqual(stored);
        expect(client.backward).toBe(false);
        expect(client.endings.toSorted()).toEqual([...over].toSorted());
        for (const [id, newest] of done) {
          if (!over.has(id)) expect([id, client.done.get(id)]).toEqual([id, newest]);
        }
        expect(world.errors).toEqual([]);
        expect(world.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
        await world.close();
      }),
      { numRuns: 60 },
    );
  },
  60_000,
);
