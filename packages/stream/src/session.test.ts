import { expect, test } from "vitest";
import { Latest, toFrameBytes, type Milestone } from "./record.js";
import { Session, type SessionOptions, type SessionReport } from "./session.js";
import { ManualClock } from "./testing/manual-clock.js";
import { PaperSink } from "./testing/paper-sink.js";
import { TimerWheel } from "./timer-wheel.js";

function open(maxQueueBytes = 1_000, extra: Partial<Pick<SessionOptions, "latestAfterMs" | "onFull">> = {}) {
  const clock = new ManualClock();
  const wheel = new TimerWheel(clock, (error) => {
    throw error;
  });
  const sink = new PaperSink();
  const reports: SessionReport[] = [];
  const session = new Session({
    sink,
    wheel,
    clock,
    progressIntervalMs: 250,
    maxQueueBytes,
    cursor: "e-0-0",
    onClose: (report) => reports.push(report),
    ...extra,
  });
  return { clock, wheel, sink, reports, session };
}

function progress(topic: string, revision: number): Latest {
  return new Latest(topic, revision, () => toFrameBytes(`event: p${topic}${revision}\n\n`));
}

function milestone(topic: string, position: number, extra: Partial<Milestone> = {}): Milestone {
  const cursor = `e-0-${position}`;
  const frame = toFrameBytes(`id: ${cursor}\nevent: m${topic}${position}\n\n`);
  return { topic, position, cursor, frame, ending: false, ...extra };
}

test("of many latest values in an interval the first and the newest are sent", () => {
  const { clock, sink, session } = open();
  for (let revision = 1; revision <= 100; revision += 1) session.latest(progress("a", revision));
  expect(sink.events).toEqual(["pa1"]);
  clock.advance(300);
  expect(sink.events).toEqual(["pa1", "pa100"]);
  clock.advance(1_000);
  expect(sink.events).toHaveLength(2);
});

test("history runs ahead of its reader by one write at most, and never to the bound; alone, an event of any size may go", () => {
  for (const [maxQueueBytes, room] of [
    [65_536, 16_384],
    [1_000, 1_000],
  ] as const) {
    const { sink, session } = open(maxQueueBytes);
    expect(session.hasRoomFor(1_000_000)).toBe(true);
    sink.stalled = true;
    session.write(new Uint8Array(100));
    expect(session.hasRoomFor(room - 100)).toBe(true);
    expect(session.hasRoomFor(room - 99)).toBe(false);
  }
});

test("each topic has an interval of its own", () => {
  const { sink, session } = open();
  session.latest(progress("a", 1));
  session.latest(progress("b", 1));
  expect(sink.events).toEqual(["pa1", "pb1"]);
});

test("a held-back latest value goes out before a milestone of its topic, never after", () => {
  const { clock, sink, session } = open();
  session.latest(progress("a", 1));
  session.latest(progress("a", 2));
  session.milestone(milestone("a", 7, { ending: true }));
  clock.advance(1_000);
  expect(sink.events).toEqual(["pa1", "pa2", "ma7"]);
  expect(session.cursor).toBe("e-0-7");
});

test("a latest value older than the snapshot that was shown is not sent", () => {
  const { sink, session } = open();
  session.shown("a", 5);
  session.latest(progress("a", 5));
  session.latest(progress("a", 6));
  expect(sink.events).toEqual(["pa6"]);
});

test("a reader that stalls gets the newest value alone once it reads again", () => {
  const { clock, sink, session } = open();
  sink.stalled = true;
  session.write(toFrameBytes("event: connected\n\n"));
  for (let revision = 1; revision <= 1_000; revision += 1) {
    session.latest(progress("a", revision));
    clock.advance(300);
  }
  expect(sink.events).toEqual(["connected"]);
  sink.read();
  clock.advance(300);
  expect(sink.events).toEqual(["connected", "pa1000"]);
});

test("milestones past the bound close a stalled reader as slow-consumer, with nothing queued beyond it", () => {
  const { sink, session, reports } = open(500);
  sink.stalled = true;
  for (let position = 1; position <= 100; position += 1) session.milestone(milestone("a", position));
  expect(reports).toMatchObject([{ reason: "slow-consumer", finished: false }]);
  expect(sink.destroyed).toBe(true);
  expect(sink.queuedBytes).toBeLessThanOrEqual(500);
});

test("a peer that goes away leaves no timer, and later writes do nothing", () => {
  const { clock, wheel, sink, session, reports } = open();
  session.after(10_000, () => {
    throw new Error("ran after the end");
  });
  session.latest(progress("a", 1));
  session.latest(progress("a", 2));
  sink.destroy();
  expect(reports).toMatchObject([{ reason: "peer-gone" }]);
  expect(wheel.size).toBe(0);
  session.write(toFrameBytes("x"));
  session.milestone(milestone("a", 1));
  session.latest(progress("a", 3));
  session.end("completed");
  session.close("error");
  clock.advance(60_000);
  expect(reports).toHaveLength(1);
  expect(sink.events).toEqual(["pa1"]);
});

test("a clean end waits for a slow reader, but not for ever", () => {
  const { clock, wheel, sink, session, reports } = open();
  sink.stalled = true;
  session.write(toFrameBytes("event: a\n\n"));
  session.end("completed");
  expect(reports).toEqual([]);
  clock.advance(6_000);
  expect(reports).toMatchObject([{ reason: "completed", finished: false }]);
  expect(wheel.size).toBe(0);
});

test("writable resolves when the reader reads, and when it has gone", async () => {
  const { sink, session } = open();
  sink.stalled = true;
  session.write(toFrameBytes("event: a\n\n"));
  const waiting = session.writable();
  sink.read();
  await waiting;
  sink.stalled = true;
  session.write(toFrameBytes("event: b\n\n"));
  const gone = session.writable();
  sink.destroy();
  await gone;
  expect(session.open).toBe(false);
});

test("latest values wait out the first interval where that was asked for, and go out early before a milestone or on flush", async () => {
  const { clock, sink, session } = open(1_000, { latestAfterMs: 250 });
  session.latest(progress("a", 1));
  session.latest(progress("b", 1));
  expect(sink.events).toEqual([]);
  session.milestone(milestone("a", 1));
  expect(sink.events).toEqual(["pa1", "ma1"]);
  await session.flush();
  expect(sink.events).toEqual(["pa1", "ma1", "pb1"]);
  session.latest(progress("b", 2));
  expect(sink.events).toHaveLength(3);
  clock.advance(300);
  expect(sink.events.at(-1)).toBe("pb2");
});

test("a sealed session sends what it has and what its owner still writes, and nothing else", () => {
  const { sink, reports, session } = open();
  session.milestone(milestone("a", 1));
  session.seal();
  expect(session.open).toBe(false);
  session.milestone(milestone("a", 2));
  session.latest(progress("a", 1));
  session.write(toFrameBytes("event: last\n\n"));
  session.end("answered");
  expect(sink.events).toEqual(["ma1", "last"]);
  expect(session.cursor).toBe("e-0-1");
  expect(reports).toMatchObject([{ reason: "answered", events: 2, finished: true }]);
});

test("at the bound an owner that asked for it is told instead, once, and the milestone was not written", () => {
  let full = 0;
  const { sink, session, reports } = open(100, { onFull: () => void (full += 1) });
  sink.stalled = true;
  for (let position = 1; position <= 9; position += 1) session.milestone(milestone("a", position));
  expect(full).toBe(1);
  expect(sink.queuedBytes).toBeLessThanOrEqual(100);
  expect(session.cursor).toBe(`e-0-${sink.events.length}`);
  expect(reports).toEqual([]);
  session.close("peer-gone");
});
