/** What must be true of a stream, whatever stands between. */
import { leaving, pause, within, comesTrue, type Case } from "./case.js";
import { call } from "./line.js";
import { completeTask, createTask, reportMark } from "./producer.js";
import { WatchedStream } from "./watched-stream.js";

// Longer than any proxy's delay that a person would not notice, short enough for a suite. What is held is held for seconds.
const SOON_MS = 15_000;
// An event may cost so much: below Nagle's 200 ms, above what two busy cores do by themselves.
const MAX_DELAY_MS = 120;
const MARKS = 15;
const MARK_EVERY_MS = 60;
const PAGE_REQUESTS = 6;
const PAGE_REQUEST_EVERY_MS = 130;

export const STREAM_CASES: readonly Case[] = [
  {
    name: "first event",
    promise: "`connected` arrives while the task is still under way.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        const startedMs = Date.now();
        const stream = keep(new WatchedStream(line, task.links.stream));
        const [connected] = await stream.first("connected", SOON_MS);
        return { ok: true, seen: `${(connected?.atMs ?? 0) - startedMs} ms` };
      }),
  },
  {
    name: "event delay",
    promise: `Of ${MARKS} events, one every ${MARK_EVERY_MS} ms, the quicker quarter arrives within ${MAX_DELAY_MS} ms each: nothing holds them back.`,
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        const stream = keep(new WatchedStream(line, task.links.stream));
        await stream.first("connected", SOON_MS);
        for (let mark = 0; mark < MARKS; mark++) {
          await reportMark(origin, task);
          await pause(MARK_EVERY_MS);
        }
        const delays = (await stream.first("mark", SOON_MS, MARKS)).map(
          ({ atMs, data }) => atMs - (data["data"] as { atMs: number }).atMs,
        );
        // What stands between holds an event back every time, a busy machine now and then: the quicker quarter tells them apart.
        const quicker = delays.toSorted((a, b) => a - b)[Math.floor(MARKS / 4)] ?? Number.NaN;
        return { ok: quicker <= MAX_DELAY_MS, seen: `${quicker} ms` };
      }),
  },
  {
    name: "heartbeat",
    promise: "Heartbeats arrive one by one, before the next is sent.",
    run: async ({ line, origin, heartbeatMs }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        const stream = keep(new WatchedStream(line, task.links.stream));
        const beats = await stream.first("heartbeat", 4 * 4 * heartbeatMs, 4);
        const late = beats
          .map(({ atMs, data }) => atMs - Number(data["timestampMs"]))
          .toSorted((a, b) => a - b);
        // As with the delay: who holds one back holds back all of them.
        return { ok: (late[1] ?? Infinity) <= heartbeatMs, seen: `late by ${late.join(", ")} ms` };
      }),
  },
  {
    name: "resume",
    promise: "`Last-Event-ID` reaches the origin: what came after it is sent, and nothing else.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        const first = keep(new WatchedStream(line, task.links.stream));
        await first.first("connected", SOON_MS);
        for (let mark = 0; mark < 3; mark++) await reportMark(origin, task);
        const [heard] = await first.first("mark", SOON_MS);
        first.leave();
        const second = keep(new WatchedStream(line, task.links.stream, heard?.id));
        const [connected] = await second.first("connected", SOON_MS);
        await second.first("mark", SOON_MS, 2);
        const marks = second.named("mark").length;
        return { ok: connected?.data["resumed"] === true && marks === 2, seen: `${marks} of 2 events` };
      }),
  },
  {
    name: "client gone",
    promise: "The origin notices a vanished client within five heartbeats.",
    run: async ({ line, origin, heartbeatMs }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        const stream = keep(new WatchedStream(line, task.links.stream));
        await stream.first("connected", SOON_MS);
        const leftMs = Date.now();
        stream.leave();
        // The answer to a report counts the watchers; asked at the pace of heartbeats, so that the origin writes no more than it would.
        const noticed = await comesTrue(
          async () => (await reportMark(origin, task)).watchers === 0,
          5 * heartbeatMs + 5_000,
          heartbeatMs,
        );
        return {
          ok: noticed,
          seen: noticed ? `after ${((Date.now() - leftMs) / 1_000).toFixed(1)} s` : "not noticed",
        };
      }),
  },
  {
    name: "clean end",
    promise: "After the ending the response ends as a whole one: no reset, no cut.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        const stream = keep(new WatchedStream(line, task.links.stream));
        await stream.first("connected", SOON_MS);
        await completeTask(origin, task);
        await stream.first("complete", SOON_MS);
        const end = await within(SOON_MS, "the end", stream.end);
        return { ok: end.kind === "ended", seen: end.kind === "ended" ? "whole" : end.reason };
      }),
  },
  {
    name: "204",
    promise: "Who has heard the ending and comes back gets 204, which stops a native EventSource.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        const task = await createTask(origin);
        await completeTask(origin, task);
        const stream = keep(new WatchedStream(line, task.links.stream));
        const [ending] = await stream.first("complete", SOON_MS);
        const again = keep(new WatchedStream(line, task.links.stream, ending?.id));
        const { status } = await within(SOON_MS, "an answer", again.head);
        return { ok: status === 204, seen: String(status) };
      }),
  },
  {
    name: "404",
    promise:
      "A refusal of Holdfast passes as it is, problem document and all: what is done for an absent origin is done for nothing else.",
    run: async ({ line }) => {
      const { status, text } = await call(line, "/api/v1/tasks/unknown/stream", {
        headers: { accept: "text/event-stream" },
      });
      return { ok: status === 404 && text.includes('"code"'), seen: `${status} ${text.slice(0, 40)}` };
    },
  },
  {
    name: "7th connection",
    promise: "Beside seven streams of one client a request is answered, once it has loaded a page.",
    run: async ({ line, origin }) =>
      await leaving(async (keep) => {
        // As a page and its files do, one after another: Apache allows six at once on a connection of HTTP/2, and more to who behaves.
        for (let asked = 0; asked < PAGE_REQUESTS; asked++) {
          await call(line, "/api/v1/uploads?limit=1");
          await pause(PAGE_REQUEST_EVERY_MS);
        }
        const tasks = await Promise.all(Array.from({ length: 7 }, async () => await createTask(origin)));
        const streams = tasks.map((task) => keep(new WatchedStream(line, task.links.stream)));
        await Promise.all(streams.map(async (stream) => await stream.first("connected", SOON_MS)));
        const { status } = await within(
          SOON_MS,
          "an answer",
          call(line, `/api/v1/tasks/${tasks[0]?.id ?? ""}`),
        );
        return { ok: status === 200, seen: "7 and a request" };
      }),
  },
  {
    name: "idle",
    promise: "A stream on which nothing is sent for 76 s lives on: the next event arrives on it.",
    needs: "silent",
    run: async ({ silent }) =>
      await leaving(async (keep) => {
        if (silent === undefined) throw new Error("no silent origin");
        const task = await createTask(silent.origin);
        const startedMs = Date.now();
        const stream = keep(new WatchedStream(silent.line, task.links.stream));
        await stream.first("connected", SOON_MS);
        const cut = await Promise.race([stream.end, pause(silent.idleMs)]);
        if (cut !== undefined) {
          const how = cut.kind === "cut" ? cut.reason : "a clean end";
          return { ok: false, seen: `${how} after ${Math.round((Date.now() - startedMs) / 1_000)} s` };
        }
        await reportMark(silent.origin, task);
        await stream.first("mark", SOON_MS);
        return { ok: true, seen: "lives on" };
      }),
  },
];
