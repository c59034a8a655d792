import fc from "fast-check";
import { expect, test } from "vitest";
import { StreamEngine } from "./engine.js";
import { PollGate, type PollGateOptions } from "./poll-gate.js";
import { Latest, toFrameBytes, type Milestone } from "./record.js";
import type { SessionReport } from "./session.js";
import { ManualClock } from "./testing/manual-clock.js";
import { PaperSink } from "./testing/paper-sink.js";

/** A log of one topic with its newest state, and polls of it. */
class World {
  readonly clock = new ManualClock();
  readonly errors: unknown[] = [];
  readonly reports: SessionReport[] = [];
  readonly events: Milestone[] = [];
  readonly engine: StreamEngine;
  revision = 0;

  constructor() {
    this.engine = new StreamEngine({
      heartbeatMs: 1e9,
      progressIntervalMs: 250,
      maxQueueBytes: 1_000,
      maxStreamAgeMs: 1e9,
      reconnectMs: 1_000,
      onError: (error) => this.errors.push(error),
      clock: this.clock,
      random: () => 0,
    });
  }

  append(bytes = 1): void {
    const position = this.events.length + 1;
    const frame = toFrameBytes(`id: ${position}\nevent: m\ndata: "${"x".repeat(bytes)}"\n\n`);
    const event = { topic: "t", position, cursor: String(position), frame, ending: false };
    this.events.push(event);
    this.engine.hub.publishMilestone(["t"], event);
  }

  move(): void {
    this.revision += 1;
    this.engine.hub.publishLatest(["t"], this.latest());
  }

  latest(): Latest {
    const { revision } = this;
    return new Latest("t", revision, () => toFrameBytes(`event: p\ndata: {"rev":${revision}}\n\n`));
  }

  poll(fields: Partial<PollGateOptions> & { readonly after: number }) {
    const sink = new PaperSink();
    let unsubscribe = (): void => undefined;
    const session = this.engine.open({
      sink,
      first: toFrameBytes("event: connected\n\n"),
      cursor: String(fields.after),
      heartbeat: () => toFrameBytes("event: beat\n\n"),
      latestAfterMs: 250,
      onFull: () => gate.full(),
      onClose: (report) => {
        unsubscribe();
        this.reports.push(report);
      },
    });
    const changed = fields.changed === true;
    const unheard = changed ? this.latest() : undefined;
    if (!changed) session.shown("t", this.revision);
    const gate = new PollGate({
      session,
      readHistory: async (after) => ({
        milestones: this.events.filter(({ position }) => position > after),
        done: true,
        trimmed: undefined,
      }),
      onLive: () => {
        if (unheard !== undefined) session.latest(unheard);
      },
      waitMs: 20_000,
      atOnce: false,
      changed: false,
      progressIntervalMs: 250,
      maxPageBytes: 10_000,
      revision: () => String(this.revision),
      last: (rev) => toFrameBytes(`event: last\ndata: {"rev":${rev ?? null},"cursor":${session.cursor}}\n\n`),
      onError: (error) => this.errors.push(error),
      ...fields,
    });
    unsubscribe = this.engine.hub.subscribe(["t"], gate);
    gate.open().catch((error: unknown) => this.errors.push(error));
    return { sink, gate };
  }
}

/** Everything that waits only for promises has run. */
async function settled(): Promise<void> {
  await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** A poll from the beginning whose reader has stopped reading. */
async function openStalled(): Promise<{ world: World; sink: PaperSink }> {
  const world = new World();
  const { sink } = world.poll({ after: 0 });
  await settled();
  sink.stalled = true;
  return { world, sink };
}

test("the state that a milestone brings right behind it is in the same answer, also within the interval", async () => {
  const world = new World();
  const { sink } = world.poll({ after: 0 });
  await settled();
  world.move();
  world.append();
  world.move();
  await settled();
  expect(sink.events).toEqual(["connected", "p", "m", "p", "last"]);
  expect(sink.data("last")).toEqual([{ rev: 2, cursor: 1 }]);
  expect(sink.ended).toBe(true);
});

test("however often state moves, it ends a poll no sooner than an interval after its begin, with the newest alone", async () => {
  const world = new World();
  const { sink } = world.poll({ after: 0 });
  await settled();
  for (let ms = 0; ms < 240; ms += 10) {
    world.move();
    world.clock.advance(10);
  }
  await settled();
  expect(sink.events).toEqual(["connected"]);
  world.clock.advance(20);
  await settled();
  expect(sink.events).toEqual(["connected", "p", "last"]);
  expect(sink.data("p")).toEqual([{ rev: 24 }]);
  expect(sink.data("last")).toMatchObject([{ rev: 24 }]);
});

test("a reader that asks again at once, while state moves without pause, asks four times a second", async () => {
  const world = new World();
  let polls = 0;
  let sink: PaperSink | undefined;
  for (let ms = 0; ms < 2_000; ms += 10) {
    if (sink?.ended !== false) {
      polls += 1;
      ({ sink } = world.poll({ after: 0 }));
    }
    world.move();
    world.clock.advance(10);
    await settled();
  }
  expect(polls).toBeLessThanOrEqual(9);
  expect(polls).toBeGreaterThanOrEqual(7);
});

test("state that moves late in a poll ends it at once", async () => {
  const world = new World();
  const { sink } = world.poll({ after: 0 });
  world.clock.advance(10_000);
  await settled();
  world.move();
  await settled();
  expect(sink.events).toEqual(["connected", "p", "last"]);
});

test("what the reader has not seen ends it after the interval, though nothing moves any more", async () => {
  const world = new World();
  world.move();
  const { sink } = world.poll({ after: 0, changed: true });
  await settled();
  expect(sink.events).toEqual(["connected"]);
  world.clock.advance(260);
  await settled();
  expect(sink.events).toEqual(["connected", "p", "last"]);
});

test("wait ends it, and leaves no timer, listener or session", async () => {
  const world = new World();
  const { sink } = world.poll({ after: 0 });
  world.clock.advance(19_900);
  await settled();
  expect(sink.events).toEqual(["connected"]);
  world.clock.advance(120);
  await settled();
  expect(sink.events).toEqual(["connected", "last"]);
  expect(world.reports).toMatchObject([{ reason: "answered", finished: true }]);
  expect(world.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
  expect(world.clock.pending).toBe(0);
});

test("a page that is full ends at a milestone, and says nothing of state that it has not shown", async () => {
  const world = new World();
  for (let count = 0; count < 5; count += 1) world.append(100);
  const { sink } = world.poll({ after: 0, maxPageBytes: 250 });
  world.move();
  await settled();
  expect(sink.events).toEqual(["connected", "m", "m", "last"]);
  expect(sink.data("last")).toEqual([{ rev: null, cursor: 2 }]);
});

test("a queue at its bound ends the page cleanly, and what was not written is not counted as sent", async () => {
  const { world, sink } = await openStalled();
  for (let count = 0; count < 6; count += 1) world.append(300);
  world.move();
  await settled();
  expect(sink.queuedBytes).toBeLessThanOrEqual(1_000);
  expect(sink.ended).toBe(false);
  sink.read();
  await settled();
  const sent = sink.events.filter((event) => event === "m").length;
  expect(sent).toBeLessThan(6);
  expect(sink.data("last")).toEqual([{ rev: null, cursor: sent }]);
  expect(world.reports).toMatchObject([{ reason: "answered", finished: true }]);
});

test("state of another topic that a full queue kept back is not said to have been shown", async () => {
  const { world, sink } = await openStalled();
  world.revision = 7;
  world.engine.hub.publishLatest(["t"], new Latest("u", 7, () => toFrameBytes("event: u\n\n")));
  world.append(600);
  await settled();
  world.append(600);
  sink.read();
  await settled();
  expect(sink.events).toEqual(["connected", "m", "last"]);
  expect(sink.data("last")).toEqual([{ rev: null, cursor: 1 }]);
});

test("state that moves while the reader takes the rest is not said to have been shown", async () => {
  const { world, sink } = await openStalled();
  world.append();
  await settled();
  world.move();
  sink.read();
  await settled();
  expect(sink.events).toEqual(["connected", "m", "last"]);
  expect(sink.data("last")).toEqual([{ rev: 0, cursor: 1 }]);
});

test("a reader that has gone ends it, also in the middle of the end", async () => {
  const { world, sink } = await openStalled();
  world.append();
  await settled();
  sink.destroy();
  await settled();
  expect(world.reports).toMatchObject([{ reason: "peer-gone", finished: false }]);
  expect(world.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
});

test("an end that can't be made is told, and closes the session", async () => {
  const world = new World();
  const failure = new Error("no frame");
  const { sink } = world.poll({
    after: 0,
    atOnce: true,
    last: () => {
      throw failure;
    },
  });
  await settled();
  expect(world.errors).toEqual([failure]);
  expect(sink.destroyed).toBe(true);
});

const anyStep = fc.oneof(
  fc.record({ kind: fc.constant("append" as const), bytes: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ kind: fc.constant("move" as const) }),
  fc.record({ kind: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 400 }) }),
  fc.record({ kind: fc.constant("settle" as const) }),
  fc.record({ kind: fc.constant("stall" as const) }),
  fc.record({ kind: fc.constant("read" as const) }),
  fc.record({ kind: fc.constant("cut" as const), heard: fc.nat(5) }),
);

test("whoever polls from the cursor and rev of what came whole hears every milestone once and the newest state", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), async (steps) => {
      const world = new World();
      const heard: number[] = [];
      let rev: number | undefined;
      let cursor = 0;
      let shown = 0;
      const ask = (): PaperSink => {
        // Like a stream's `connected`, but what it shows is not counted: only `p` and `last` tell this reader of state.
        if (rev === undefined) shown = world.revision;
        return world.poll({
          after: cursor,
          atOnce: rev === undefined,
          changed: rev !== undefined && rev !== world.revision,
          maxPageBytes: 700,
        }).sink;
      };
      const hear = (frames: readonly string[]): void => {
        for (const frame of frames) {
          const id = /^id: (\d+)$/m.exec(frame)?.[1];
          if (id !== undefined) heard.push((cursor = Number(id)));
          const value = Number(/"rev":(\d+)/.exec(frame)?.[1]);
          if (frame.includes("event: p\n")) expect((shown = Math.max(shown, value))).toBe(value);
          if (frame.includes("event: last\n")) {
            expect(/"cursor":(\d+)/.exec(frame)?.[1]).toBe(String(cursor));
            if (Number.isNaN(value)) continue;
            // What it says was shown, was shown.
            expect(shown).toBeGreaterThanOrEqual(value);
            rev = value;
          }
        }
      };
      let sink = ask();
      const next = (): void => {
        if (!sink.ended || sink.stalled) return;
        hear(sink.frames);
        sink = ask();
      };
      for (const step of steps) {
        if (step.kind === "append") world.append(step.bytes);
        if (step.kind === "move") world.move();
        if (step.kind === "advance") world.clock.advance(step.ms);
        if (step.kind === "settle") await settled();
        if (step.kind === "stall") sink.stalled = true;
        if (step.kind === "read") sink.read();
        if (step.kind === "cut") {
          hear(sink.frames.slice(0, step.heard));
          sink.destroy();
          sink = ask();
        }
        next();
      }
      for (let more = 0; more < 60; more += 1) {
        sink.read();
        await settled();
        next();
        world.clock.advance(300);
        await settled();
      }
      next();
      expect(heard).toEqual(world.events.map(({ position }) => position));
      expect(shown).toBe(world.revision);
      expect(world.errors).toEqual([]);
      sink.destroy();
      expect(world.engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
    }),
    { numRuns: 300 },
  );
}, 60_000);
