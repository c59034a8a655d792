import { expect, test } from "vitest";
import { StreamEngine } from "./engine.js";
import { toFrameBytes } from "./record.js";
import type { SessionReport } from "./session.js";
import { ManualClock } from "./testing/manual-clock.js";
import { PaperSink } from "./testing/paper-sink.js";

function start(random: () => number = () => 0.5) {
  const clock = new ManualClock();
  const engine = new StreamEngine({
    heartbeatMs: 10_000,
    progressIntervalMs: 250,
    maxQueueBytes: 65_536,
    maxStreamAgeMs: 1_800_000,
    reconnectMs: 1_000,
    onError: (error) => {
      throw error;
    },
    clock,
    random,
  });
  const reports: SessionReport[] = [];
  const beats: number[] = [];
  const open = (): PaperSink => {
    const sink = new PaperSink();
    engine.open({
      sink,
      first: toFrameBytes("event: connected\n\n"),
      cursor: "e-0-0",
      heartbeat: () => {
        beats.push(clock.now());
        return toFrameBytes("event: heartbeat\n\n");
      },
      onClose: (report) => reports.push(report),
    });
    return sink;
  };
  return { clock, engine, open, reports, beats };
}

test("heartbeats keep their schedule and do not drift", () => {
  const { clock, open, beats } = start();
  open();
  clock.advance(100_000);
  expect(beats).toHaveLength(10);
  for (const [index, beat] of beats.entries())
    expect(Math.abs(beat - (5_000 + index * 10_000))).toBeLessThanOrEqual(20);
});

test("streams opened at once do not beat at once", () => {
  let draw = 0;
  const { clock, open, beats } = start(() => (draw += 0.01) % 1);
  for (let i = 0; i < 49; i += 1) open();
  clock.advance(10_000);
  expect(new Set(beats.map((beat) => Math.floor(beat / 500))).size).toBeGreaterThan(10);
});

test("a reader that does not read is sent no heartbeat", () => {
  const { clock, open } = start();
  const sink = open();
  sink.stalled = true;
  sink.write(toFrameBytes("event: stuck\n\n"));
  clock.advance(60_000);
  expect(sink.events).toEqual(["connected", "stuck"]);
});

test("a stream that is too old ends with drain, cleanly", () => {
  const { clock, open, reports } = start();
  const sink = open();
  clock.advance(1_800_000);
  expect(sink.events.at(-1)).toBe("drain");
  expect(sink.frames.at(-1)).toContain("retry: 1000\n");
  expect(sink.ended).toBe(true);
  expect(reports).toMatchObject([{ reason: "max-age", finished: true }]);
});

test("drain tells each client another time within the window, none before a restart may be over, and resolves when all have gone", async () => {
  let draw = 0;
  const { engine, open, reports } = start(() => (draw += 0.137) % 1);
  const sinks = Array.from({ length: 50 }, open);
  await engine.drain(5_000);
  const times = sinks.map((sink) => Number(sink.data("drain")[0]?.["reconnectInMs"]));
  expect(Math.min(...times)).toBeGreaterThanOrEqual(2_000);
  expect(Math.max(...times)).toBeLessThanOrEqual(5_000);
  expect(new Set(times).size).toBeGreaterThan(20);
  expect(reports.every(({ reason }) => reason === "drain")).toBe(true);
  expect(engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
});

test("a stream that opens after a drain began is sent away at once, at a time of its own", async () => {
  let draw = 0;
  const { clock, engine, open, reports } = start(() => (draw += 0.137) % 1);
  open();
  await engine.drain(5_000);
  const late = Array.from({ length: 20 }, open);
  const times = late.map((sink) => Number(sink.data("drain")[0]?.["reconnectInMs"]));
  expect(late.map(({ events }) => events)).toEqual(late.map(() => ["connected", "drain"]));
  expect(Math.min(...times)).toBeGreaterThanOrEqual(2_000);
  expect(Math.max(...times)).toBeLessThanOrEqual(5_000);
  expect(new Set(times).size).toBeGreaterThan(10);
  expect(reports.map(({ reason }) => reason)).toEqual(Array.from({ length: 21 }, () => "drain"));
  expect(engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
  expect(clock.pending).toBe(0);
});

test("what readers that have stopped hold is told, of all and of the worst", () => {
  const { engine, open } = start();
  const frame = toFrameBytes("event: stuck\n\n");
  for (const frames of [0, 1, 3]) {
    const sink = open();
    sink.stalled = true;
    for (let written = 0; written < frames; written += 1) sink.write(frame);
  }
  expect(engine.queue).toEqual({ bytes: 4 * frame.byteLength, mostBytes: 3 * frame.byteLength });
});

test("of a short window the first half is left out, and a window of nothing is nothing", async () => {
  for (const windowMs of [1_000, 0]) {
    const { engine, open } = start(() => 0);
    const sink = open();
    await engine.drain(windowMs);
    expect(sink.data("drain")).toEqual([{ reconnectInMs: windowMs / 2 }]);
  }
});

test("ten thousand streams that come and go leave nothing behind", () => {
  const { clock, engine, open } = start(Math.random);
  for (let round = 0; round < 10; round += 1) {
    const sinks = Array.from({ length: 1_000 }, open);
    clock.advance(1_000);
    for (const sink of sinks) sink.destroy();
  }
  expect(engine.stats).toEqual({ sessions: 0, channels: 0, timers: 0 });
  expect(clock.pending).toBe(0);
});
