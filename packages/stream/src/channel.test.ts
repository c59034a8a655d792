/**
 * A channel on paper sinks with a clock moved by hand.
 */
import { expect, test } from "vitest";
import { Channel, type ConnectOptions } from "./channel.js";
import type { ChannelOptions } from "./channel-options.js";
import type { SessionReport } from "./session.js";
import { ManualClock } from "./testing/manual-clock.js";
import { PaperSink } from "./testing/paper-sink.js";

interface Member {
  name: string;
}

function make(options: ChannelOptions = {}) {
  const clock = new ManualClock();
  const channel = new Channel<Member>({ clock, epoch: "e", random: () => 0, ...options });
  const connect = (extra: ConnectOptions<Member> = {}) => {
    const sink = new PaperSink();
    const reports: SessionReport[] = [];
    const connection = channel.attach(sink, { onClose: (report) => reports.push(report), ...extra });
    return { sink, connection, reports };
  };
  return { clock, channel, connect };
}

/** Lets the gates read their history, which is at hand. */
async function settle(): Promise<void> {
  for (let i = 0; i < 40; i += 1) await Promise.resolve();
}

/** What a browser dispatches: frames of an id alone are not. */
const named = (sink: PaperSink): string[] =>
  sink.frames.flatMap((frame) => /^event: (.*)$/m.exec(frame)?.[1] ?? []);

const ids = (sink: PaperSink): string[] =>
  sink.frames.flatMap((frame) => /^id: (.*)$/m.exec(frame)?.[1] ?? []);

test("a published event reaches every connection with its cursor, serialised as asked", async () => {
  const { channel, connect } = make({ serialize: (data) => `<${String(data)}>` });
  const [one, two] = [connect(), connect()];
  await settle();
  expect(channel.publish("said", "hello")).toBe("e-1");
  expect(one.sink.frames).toEqual(["retry: 1000\nid: e-0\n", "id: e-1\nevent: said\ndata: <hello>\n"]);
  expect(two.sink.frames).toEqual(one.sink.frames);
  expect(channel.size).toBe(2);
  expect(channel.cursor).toBe("e-1");
});

test("a reader that comes back is sent what it missed, once, and then what is new", async () => {
  const { channel, connect } = make();
  for (let n = 1; n <= 300; n += 1) channel.publish("n", n);
  const { sink } = connect({ lastEventId: "e-3" });
  channel.publish("n", 301);
  await settle();
  channel.publish("n", 302);
  expect(ids(sink)).toEqual(Array.from({ length: 300 }, (_, i) => `e-${i + 3}`));
  expect(sink.events).not.toContain("gap");
});

test("who brings no cursor begins now, or with the oldest event held when it asks for that", async () => {
  const { channel, connect } = make({ historyEvents: 2 });
  for (let n = 1; n <= 3; n += 1) channel.publish("n", n);
  const now = connect();
  const oldest = connect({ begin: "oldest" });
  await settle();
  expect(ids(now.sink)).toEqual(["e-3"]);
  expect(ids(oldest.sink)).toEqual(["e-1", "e-2", "e-3"]);
});

test.each([
  ["of another life of the process", "other-2"],
  ["of the future", "e-9"],
  ["of no form of ours", "e-0x1"],
  ["from before what is held", "e-1"],
])("a cursor %s gets a gap, and then everything that is held", async (_, lastEventId) => {
  const { channel, connect } = make({ historyEvents: 2 });
  for (let n = 1; n <= 4; n += 1) channel.publish("n", n);
  const { sink } = connect({ lastEventId });
  await settle();
  expect(sink.data("gap")).toEqual([{ from: lastEventId, to: "e-2" }]);
  expect(ids(sink)).toEqual(["e-2", "e-3", "e-4"]);
});

test("a foreign cursor is repeated no further than 128 characters", async () => {
  const { connect } = make();
  const { sink } = connect({ lastEventId: "x".repeat(10_000) });
  expect(sink.data("gap")).toEqual([{ from: "x".repeat(128), to: "e-0" }]);
});

test("of the states of a topic the newest is sent, at most one an interval, and a late joiner gets it too", async () => {
  const { channel, connect, clock } = make();
  const early = connect();
  await settle();
  for (let n = 1; n <= 100; n += 1) channel.update("cpu", "load", n);
  const late = connect();
  await settle();
  expect(early.sink.frames.slice(1)).toEqual(["event: load\ndata: 1\n"]);
  expect(late.sink.frames.slice(1)).toEqual(["event: load\ndata: 100\n"]);
  clock.advance(300);
  expect(early.sink.frames.slice(2)).toEqual(["event: load\ndata: 100\n"]);
});

test("a topic's last state goes out before its ending, and is forgotten with it", async () => {
  const { channel, connect } = make();
  const early = connect();
  await settle();
  channel.update("a", "at", 1);
  channel.update("a", "at", 2);
  channel.publish("done", "a", { topic: "a", ending: true });
  expect(early.sink.events.slice(1)).toEqual(["at", "at", "done"]);
  const late = connect();
  await settle();
  expect(late.sink.events).toHaveLength(1);
});

test("a batch goes out in one write a connection, states included, and nothing of it before the end", async () => {
  const { channel, connect } = make();
  const { sink } = connect();
  await settle();
  const writes: number[] = [];
  const write = sink.write.bind(sink);
  sink.write = (bytes) => {
    writes.push(bytes.byteLength);
    write(bytes);
  };
  const last = channel.batch(() => {
    for (let n = 1; n <= 20; n += 1) channel.publish("n", n);
    expect(writes).toEqual([]);
    return channel.batch(() => channel.publish("n", 21));
  });
  expect(last).toBe("e-21");
  expect(writes).toHaveLength(1);
  expect(ids(sink)).toHaveLength(22);
});

test("a batch that throws has sent what it published, and the next event goes out at once", async () => {
  const { channel, connect } = make();
  const { sink } = connect();
  await settle();
  expect(() =>
    channel.batch(() => {
      channel.publish("n", 1);
      throw new Error("no more");
    }),
  ).toThrow("no more");
  channel.publish("n", 2);
  expect(ids(sink)).toEqual(["e-0", "e-1", "e-2"]);
});

test("a batch larger than what a connection may queue makes no reader slow that reads", async () => {
  const { channel, connect } = make({ maxQueueBytes: 32_768 });
  const { sink, connection } = connect();
  await settle();
  channel.batch(() => {
    for (let n = 1; n <= 100; n += 1) channel.publish("n", "x".repeat(4_000));
  });
  expect(connection.open).toBe(true);
  expect(ids(sink)).toHaveLength(101);
});

test("a reader that does not read is closed at its bound, and resumes with what it missed", async () => {
  const { channel, connect } = make({ maxQueueBytes: 1_000 });
  const slow = connect();
  await settle();
  slow.sink.stalled = true;
  for (let n = 1; n <= 10; n += 1) channel.publish("n", "x".repeat(200));
  expect(slow.reports.map(({ reason }) => reason)).toEqual(["slow-consumer"]);
  expect(channel.size).toBe(0);
  const got = ids(slow.sink);
  const again = connect({ lastEventId: got.at(-1) ?? "" });
  await settle();
  expect([...got, ...ids(again.sink).slice(1)]).toEqual(Array.from({ length: 11 }, (_, i) => `e-${i}`));
});

test("what is published because a connection closed reaches everybody after the event that closed it", async () => {
  const { channel, connect } = make({ maxQueueBytes: 100 });
  const one = connect();
  const slow = connect({
    onClose: () => {
      channel.update("seats", "free", 1);
      channel.publish("left", "slow");
    },
  });
  const two = connect();
  await settle();
  slow.sink.stalled = true;
  channel.publish("n", "x".repeat(100));
  channel.publish("n", "y");
  for (const { sink } of [one, two]) {
    expect(sink.events.slice(1)).toEqual(["n", "n", "free", "left"]);
    expect(ids(sink)).toEqual(["e-0", "e-1", "e-2", "e-3"]);
  }
});

test("an onClose that throws is reported, and costs no other connection the event", async () => {
  const errors: unknown[] = [];
  const { channel, connect } = make({ maxQueueBytes: 100, onError: (error) => errors.push(error) });
  const slow = connect({
    onClose: () => {
      throw new Error("broken");
    },
  });
  const other = connect();
  await settle();
  slow.sink.stalled = true;
  channel.publish("n", "x".repeat(100));
  channel.publish("n", "y");
  expect(ids(other.sink)).toEqual(["e-0", "e-1", "e-2"]);
  expect(errors).toEqual([new Error("broken")]);
  expect(channel.size).toBe(1);
});

test("each value of an iterable, synchronous or not, is an event", async () => {
  const { channel, connect, clock } = make();
  const { sink } = connect();
  await settle();
  async function* tokens(): AsyncGenerator<string> {
    yield "a";
    await Promise.resolve();
    yield "b";
  }
  expect(await channel.from("token", tokens())).toBe(2);
  expect(await channel.from("n", [1, 2, 3])).toBe(3);
  expect(sink.events.slice(1)).toEqual(["token", "token", "n", "n", "n"]);
  expect(clock.pending).toBe(1);
});

test("a list at hand lets sockets have their turn before it fills a queue", async () => {
  const { channel, connect, clock } = make({ maxQueueBytes: 4_000 });
  const { sink, connection } = connect();
  await settle();
  sink.stalled = true;
  const done = channel.from(
    "n",
    Array.from({ length: 10 }, () => "x".repeat(500)),
  );
  await settle();
  expect(sink.queuedBytes).toBeLessThan(2_000);
  for (let turn = 0; turn < 10; turn += 1) {
    sink.read();
    sink.stalled = true;
    clock.advance(1);
    await settle();
  }
  expect(await done).toBe(10);
  expect(connection.open).toBe(true);
});

test("an iterable that waits is left when its signal aborts, and when the channel goes away", async () => {
  const { channel } = make();
  async function* values(): AsyncGenerator<number> {
    yield 1;
    await new Promise(() => undefined);
  }
  const abort = new AbortController();
  const aborted = channel.from("n", values(), { signal: abort.signal });
  const drained = channel.from("n", values());
  await settle();
  abort.abort();
  expect(await aborted).toBe(1);
  await channel.drain(0);
  expect(await drained).toBe(1);
});

test("what is sent to one connection reaches it alone, without a cursor, and is bounded like the rest", async () => {
  const { channel, connect } = make({ maxQueueBytes: 100 });
  const [one, two] = [connect(), connect()];
  await settle();
  one.connection.send("you", { id: 1 });
  expect(one.sink.frames.slice(1)).toEqual(['event: you\ndata: {"id":1}\n']);
  expect(two.sink.frames).toHaveLength(1);
  one.sink.stalled = true;
  for (let i = 0; i < 10; i += 1) one.connection.send("you", { id: 1 });
  expect(one.reports.map(({ reason }) => reason)).toEqual(["slow-consumer"]);
  two.connection.close();
  expect(two.reports.map(({ reason }) => reason)).toEqual(["completed"]);
  expect(channel.size).toBe(0);
});

test("a filtered event reaches those whose state it takes, live and on return, and nobody without a state", async () => {
  const { channel, connect } = make();
  const ann = connect({ state: { name: "ann" } });
  const [bob, nobody] = [connect({ state: { name: "bob" } }), connect()];
  await settle();
  expect(ann.connection.state).toEqual({ name: "ann" });
  channel.publish("all", 1);
  channel.publish("whisper", 2, { filter: (member) => member?.name === "ann" });
  channel.publish("all", 3);
  const returned = connect({ lastEventId: "e-0", state: { name: "bob" } });
  await settle();
  expect(ann.sink.events.slice(1)).toEqual(["all", "whisper", "all"]);
  for (const { sink } of [bob, nobody, returned]) {
    expect(named(sink)).toEqual(["all", "all"]);
    expect(ids(sink).at(-1)).toBe("e-3");
  }
});

test("a filter asks for the state of the moment in which the event is about to be sent", async () => {
  const { channel, connect } = make();
  const state = { name: "ann" };
  const { sink } = connect({ state });
  await settle();
  const filter = (member: Member | undefined): boolean => member?.name === "bob";
  channel.publish("before", 1, { filter });
  state.name = "bob";
  channel.publish("after", 2, { filter });
  expect(named(sink)).toEqual(["after"]);
});

test("the cursor of a reader that is sent nothing follows by ids alone, never half of what is held behind", async () => {
  const { channel, connect } = make({ historyEvents: 100 });
  const { sink } = connect({ state: { name: "bob" } });
  await settle();
  for (let n = 1; n <= 1_000; n += 1) channel.publish("whisper", n, { filter: () => false });
  const told = ids(sink);
  expect(sink.frames.slice(1).every((frame) => /^id: e-\d+\n$/.test(frame))).toBe(true);
  expect(told.length).toBeLessThan(40);
  expect(Number(told.at(-1)?.slice(2))).toBeGreaterThanOrEqual(950);
  const again = connect({ lastEventId: told.at(-1) ?? "", state: { name: "bob" } });
  await settle();
  expect(again.sink.events).not.toContain("gap");
});

test("a topic's last state goes out before an ending that is not for this reader", async () => {
  const { channel, connect } = make();
  const { sink } = connect();
  await settle();
  channel.update("a", "at", 1);
  channel.update("a", "at", 2);
  channel.publish("done", "a", { topic: "a", ending: true, filter: () => false });
  expect(sink.events.slice(1)).toEqual(["at", "at", "id: e-1"]);
});

test("a filter that throws is reported and costs its connection alone, which may resume", async () => {
  const errors: unknown[] = [];
  const { channel, connect } = make({ onError: (error) => errors.push(error) });
  const ann = connect({ state: { name: "ann" } });
  const nobody = connect();
  await settle();
  channel.publish("n", 1, {
    filter: (member) => {
      if (member === undefined) throw new Error("who?");
      return true;
    },
  });
  expect(ids(ann.sink)).toEqual(["e-0", "e-1"]);
  expect(nobody.reports.map(({ reason }) => reason)).toEqual(["error"]);
  expect(errors).toEqual([new Error("who?")]);
});

test("a drain tells everybody when to come back, new ones too, and resolves when all have gone", async () => {
  const { channel, connect, clock } = make();
  const { sink, reports } = connect();
  await channel.drain(4_000);
  expect(sink.data("drain")).toEqual([{ reconnectInMs: 2_000 }]);
  expect(reports.map(({ reason }) => reason)).toEqual(["drain"]);
  const late = connect();
  expect(late.sink.frames.at(-1)).toBe('retry: 2000\nevent: drain\ndata: {"reconnectInMs":2000}\n');
  expect(late.sink.ended).toBe(true);
  expect(await channel.from("n", [1])).toBe(0);
  expect(clock.pending).toBe(0);
});

test("a comment beats at each interval", async () => {
  const { connect, clock } = make({ heartbeatMs: 1_000 });
  const { sink } = connect();
  clock.advance(2_100);
  expect(sink.frames.slice(1)).toEqual([": heartbeat\n", ": heartbeat\n"]);
});

test("what can't be sent is refused with its bound, and leaves no trace", () => {
  const { channel } = make({ historyBytes: 100, stateBytes: 100 });
  expect(() => channel.publish("n", "x".repeat(100))).toThrow("bound 100 B");
  expect(() => channel.publish("n", undefined)).toThrow("got undefined");
  expect(() => channel.publish("n\nid: 9", 1)).toThrow("must not contain");
  expect(channel.cursor).toBe("e-0");
  channel.update("a", "at", "x".repeat(60));
  expect(() => channel.update("b", "at", "x".repeat(60))).toThrow("in 1 topics, bound 100 B");
  channel.update("a", "at", "y".repeat(60));
  channel.publish("done", 1, { topic: "a", ending: true });
  channel.update("b", "at", "x".repeat(60));
});

test.each([
  [{ maxQueueBytes: 0 }, "maxQueueBytes must be a whole number: got 0, bound 1"],
  [{ heartbeatMs: 1.5 }, "heartbeatMs must be a whole number: got 1.5"],
  [{ maxStreamAgeMs: Infinity }, "got Infinity"],
  [{ epoch: "a-b" }, 'got "a-b"'],
  [{ historySize: 5 } as ChannelOptions, "unknown option: got historySize"],
])("options %j are refused by name", (options, message) => {
  expect(() => new Channel(options)).toThrow(message);
});

test("a topic counts with its name", () => {
  const { channel } = make({ stateBytes: 100 });
  expect(() => channel.update("n".repeat(100), "e", 1)).toThrow(/states exceed stateBytes/);
});
