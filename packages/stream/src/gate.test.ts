/**
 * The gate under arbitrary interleavings of commits, reads of history, stalls of the reader and drops of the connection.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Gate, type HistoryPage } from "./gate.js";
import { Hub } from "./hub.js";
import { Latest, toFrameBytes, type Milestone } from "./record.js";
import { Session } from "./session.js";
import { ManualClock } from "./testing/manual-clock.js";
import { PaperSink } from "./testing/paper-sink.js";
import { TimerWheel } from "./timer-wheel.js";

class Log {
  readonly events: Milestone[] = [];
  readonly hub = new Hub((error) => {
    throw error;
  });
  revision = 0;
  /** Events up to here are no longer held. */
  trimmed = 0;

  append(bytes: number): void {
    const position = this.events.length + 1;
    const frame = toFrameBytes(`id: ${position}\nevent: m\ndata: ${"x".repeat(bytes)}\n\n`);
    const event = { topic: "t", position, cursor: String(position), frame, ending: false };
    this.events.push(event); // stored first, published second
    this.hub.publishMilestone(["t"], event);
  }

  move(): void {
    this.revision += 1;
    const { revision } = this;
    // What a progress says is at least as new as every milestone before it: its text tells how many there were.
    const seen = this.events.length;
    this.hub.publishLatest(
      ["t"],
      new Latest("t", revision, () => toFrameBytes(`event: p\ndata: ${revision} ${seen}\n\n`)),
    );
  }

  async read(after: number, limit: number): Promise<HistoryPage> {
    // The store reads some time after it is asked, and answers some time after it has read.
    await Promise.resolve();
    const newer = this.events.filter(({ position }) => position > Math.max(after, this.trimmed));
    const page = {
      milestones: newer.slice(0, limit),
      done: newer.length <= limit,
      trimmed: this.trimmed === 0 ? undefined : { position: this.trimmed, cursor: String(this.trimmed) },
    };
    await Promise.resolve();
    return page;
  }
}

/** What the reader has from the start stands for what is lost up to `standsUpTo`. */
function connect(log: Log, after: number, limit: number, standsUpTo = 0) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, (error) => {
    throw error;
  });
  const sink = new PaperSink();
  let unsubscribe = (): void => {};
  const session = new Session({
    sink,
    wheel,
    clock,
    progressIntervalMs: 0,
    maxQueueBytes: 1e9,
    cursor: String(after),
    onClose: () => unsubscribe(),
  });
  const gate = new Gate({
    session,
    after,
    accountedFor: log.trimmed,
    tellLost: async ({ mark, passed }) => {
      expect(passed).toBe(true); // here history goes from its beginning
      if (mark.position > standsUpTo) return undefined;
      const gap = toFrameBytes(`id: ${mark.cursor}\nevent: gap\ndata: ${session.cursor}\n\n`);
      return { gap, snapshots: [toFrameBytes("event: snapshot\n\n")] };
    },
    readHistory: async (from) => await log.read(from, limit),
  });
  unsubscribe = log.hub.subscribe(["t"], gate);
  return { sink, clock, opened: gate.open() };
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant("append" as const), bytes: fc.constantFrom(1, 10, 40_000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("move" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("stall" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("read" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("drop" as const) }) },
);

test("from history to live there is no hole, no overlap and no step back, however things interleave", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 0, max: 10 }),
      async (steps, limit, before) => {
        const log = new Log();
        for (let i = 0; i < before; i += 1) log.append(1);
        const got: string[] = [];
        let connection = connect(log, 0, limit);
        const take = (): void => {
          for (const frame of connection.sink.frames) {
            const id = /^id: (\d+)/m.exec(frame)?.[1];
            got.push(id ?? `p ${/^data: (.*)$/m.exec(frame)?.[1] ?? ""}`);
          }
        };
        for (const one of steps) {
          if (one.do === "append") log.append(one.bytes);
          if (one.do === "move") log.move();
          if (one.do === "turn") await Promise.resolve();
          if (one.do === "stall") connection.sink.stalled = true;
          if (one.do === "read") connection.sink.read();
          if (one.do === "drop") {
            connection.sink.destroy();
            take();
            const last = got.findLast((text) => !text.startsWith("p"));
            connection = connect(log, Number(last ?? 0), limit);
          }
        }
        connection.sink.read();
        await connection.opened;
        connection.clock.advance(1_000);
        take();
        const ids = got.filter((text) => !text.startsWith("p")).map(Number);
        expect(ids).toEqual(log.events.map(({ position }) => position));
        // A progress never comes before a milestone that it is newer than was sent... nor after one it is older than.
        let milestones = 0;
        let revision = 0;
        for (const text of got) {
          if (!text.startsWith("p")) {
            milestones += 1;
            continue;
          }
          const [, rev = "0", seen = "0"] = text.split(" ");
          expect(Number(rev)).toBeGreaterThan(revision);
          revision = Number(rev);
          expect(Number(seen)).toBeGreaterThanOrEqual(milestones);
        }
      },
    ),
    { numRuns: 400 },
  );
});

test("what is trimmed while it is read is never left out in silence: it is told, or the stream ends and the next one tells it", async () => {
  let told = 0;
  const trimming = fc.oneof(
    { weight: 8, arbitrary: step },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("trim" as const), keep: fc.integer({ min: 0, max: 6 }) }),
    },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(trimming, { maxLength: 60 }),
      fc.integer({ min: 1, max: 3 }),
      async (steps, limit) => {
        const log = new Log();
        for (let i = 0; i < 8; i += 1) log.append(1);
        // Every position the client has had or was told to be lost, in order.
        const accounted: number[] = [];
        let connection = connect(log, 0, limit, log.events.length);
        const again = (): void => {
          for (const frame of connection.sink.frames) {
            const id = /^id: (\d+)/m.exec(frame)?.[1];
            if (id === undefined) continue;
            if (frame.includes("event: gap\n")) {
              told += 1;
              expect(Number(/^data: (\d+)$/m.exec(frame)?.[1])).toBe(accounted.at(-1) ?? 0);
              for (let lost = (accounted.at(-1) ?? 0) + 1; lost < Number(id); lost += 1) accounted.push(lost);
            }
            accounted.push(Number(id));
          }
          const last = accounted.at(-1) ?? 0;
          for (let lost = last + 1; lost <= log.trimmed; lost += 1) accounted.push(lost);
          connection = connect(log, Math.max(last, log.trimmed), limit, log.events.length);
        };
        for (const one of steps) {
          if (one.do === "append") log.append(one.bytes);
          if (one.do === "turn") for (let i = 0; i < 3; i += 1) await Promise.resolve();
          if (one.do === "stall") connection.sink.stalled = true;
          if (one.do === "read") connection.sink.read();
          if (one.do === "trim") log.trimmed = Math.max(log.trimmed, log.events.length - one.keep);
          if (one.do === "drop") connection.sink.destroy();
          if (one.do === "drop" || connection.sink.ended) {
            connection.sink.read();
            again();
          }
        }
        for (let tries = 0; tries < 3; tries += 1) {
          connection.sink.read();
          await connection.opened;
          connection.clock.advance(1_000);
          again();
        }
        expect(accounted).toEqual(log.events.map(({ position }) => position));
      },
    ),
    { numRuns: 400 },
  );
  expect(told).toBeGreaterThan(0);
});

test("a reader that history is trimmed under gets what was read so far, and a clean end", async () => {
  const log = new Log();
  for (let i = 0; i < 8; i += 1) log.append(1);
  const { sink, opened } = connect(log, 0, 2);
  sink.stalled = true;
  // Of the page that was read its reader takes one, and the next when it reads again.
  while (sink.frames.length < 1) await Promise.resolve();
  log.trimmed = 6;
  sink.read();
  await opened;
  expect(sink.frames.map((frame) => /^id: (\d+)/.exec(frame)?.[1])).toEqual(["1", "2"]);
  expect([sink.ended, sink.destroyed]).toEqual([true, false]);
});

test("a reader that has something that stands for what is trimmed under it is told, and goes on", async () => {
  const log = new Log();
  for (let i = 0; i < 8; i += 1) log.append(1);
  const { sink, opened } = connect(log, 0, 2, 8);
  sink.stalled = true;
  while (sink.frames.length < 1) await Promise.resolve();
  log.trimmed = 6;
  sink.read();
  await opened;
  log.append(1);
  expect(
    sink.frames.map((frame) => frame.replace(/^(?:id: (\d+)\n)?event: (\w+)[^]*$/, "$1 $2").trim()),
  ).toEqual(["1 m", "2 m", "6 gap", "snapshot", "7 m", "8 m", "9 m"]);
  expect(sink.ended).toBe(false);
});

test("a page of large events is sent as its reader takes it, and is no reason to call it slow", async () => {
  const log = new Log();
  for (let i = 0; i < 10; i += 1) log.append(40_000);
  const { sink, opened } = connect(log, 0, 10);
  let most = 0;
  for (let turn = 0; turn < 100 && sink.frames.length < 10; turn += 1) {
    sink.stalled = true;
    for (let i = 0; i < 10; i += 1) await Promise.resolve();
    most = Math.max(most, sink.queuedBytes);
    sink.read();
  }
  await opened;
  expect(sink.frames).toHaveLength(10);
  expect(most).toBeLessThan(2 * 41_000);
});

test("a history that can't be read rejects and sends nothing live", async () => {
  const log = new Log();
  const { sink } = connect(log, 0, 1);
  const wheel = new TimerWheel(new ManualClock(), () => {});
  const session = new Session({
    sink,
    wheel,
    clock: new ManualClock(),
    progressIntervalMs: 0,
    maxQueueBytes: 1,
    cursor: "0",
    onClose: () => {},
  });
  const gate = new Gate({
    session,
    after: 0,
    readHistory: async () => await Promise.reject(new Error("store gone")),
  });
  await expect(gate.open()).rejects.toThrow("store gone");
  gate.latest(new Latest("t", 1, () => toFrameBytes("event: p\n\n")));
  expect(sink.events).toEqual([]);
});
