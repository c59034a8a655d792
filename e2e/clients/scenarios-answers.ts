/** Scenarios of what is asked and answered: statuses, headers, waits, giving up. */
import type { StreamErrorEvent } from "@holdfast/client";
import { answers, breaks, ends, inTurn, mute, stays } from "./scenario-plays.js";
import type { Play } from "../harness/scripted-server.js";
import type { Scenario, Stage } from "./scenario.js";

const hello = stays("data: hello\n\n");
const SOON = { retryDelay: 20 };

async function assertHello(stage: Stage): Promise<void> {
  const heard = new Promise<void>((resolve) => {
    stage.handle("message", () => resolve());
  });
  await heard;
}

/** Some twenty of the wrapper's retries. */
const LONG_ENOUGH_MS = 400;

async function assertFinal(stage: Stage, status: number): Promise<void> {
  await stage.until(() => stage.errors.length > 0);
  const error = stage.errors[0] as Partial<StreamErrorEvent>;
  stage.is([error.terminal, error.status, error.problem?.title], [true, status, "No"]);
  await stage.pause(LONG_ENOUGH_MS);
  stage.is([stage.requests, stage.source.readyState, stage.errors.length], [1, 2, 1]);
}

const PROBLEM = JSON.stringify({ type: "about:blank", title: "No", status: 403 });

const isFinal = (status: number): Scenario => ({
  name: `${status} is final and loud, with what the server said of it`,
  naive: false,
  options: SOON,
  play: answers(status, { "Content-Type": "application/problem+json" }, PROBLEM),
  run: async (stage) => await assertFinal(stage, status),
});

const isRetried = (status: number): Scenario => ({
  name: `${status} is tried again`,
  naive: true,
  options: SOON,
  play: inTurn(answers(status), answers(status), hello),
  run: assertHello,
});

let tokens = 0;

let leaving = new AbortController();

let held: (() => void)[] = [];

/** The first thirty are dropped at one moment, once all are there. */
const dropTogether: Play = (request, response, index) => {
  if (index >= 30) return hello(request, response, index);
  if (index === 0) held = [];
  if (held.push(() => void breaks()(request, response, index)) === 30) for (const drop of held) drop();
  return undefined;
};

export const ANSWER_SCENARIOS: readonly Scenario[] = [
  ...[400, 403, 404, 410].map(isFinal),
  ...[408, 425, 429, 500, 502, 503, 504].map(isRetried),
  {
    name: "204 ends the stream quietly",
    naive: false,
    options: SOON,
    play: inTurn(ends("data: last\n\n"), answers(204)),
    async run(stage) {
      await stage.until(() => stage.requests === 2);
      await stage.pause(LONG_ENOUGH_MS);
      stage.is([stage.requests, stage.source.readyState], [2, 2]);
    },
  },
  {
    name: "a login page with status 200 is no stream, and is tried again",
    naive: true,
    options: SOON,
    play: inTurn(answers(200, { "Content-Type": "text/html" }, "<h1>Wi-Fi</h1>"), hello),
    run: assertHello,
  },
  {
    name: "401 asks for headers once more, at once",
    naive: false,
    options: { retryDelay: 60_000, headers: () => ({ Authorization: `Bearer ${(tokens += 1)}` }) },
    play: inTurn(answers(401), hello),
    async run(stage) {
      await assertHello(stage);
      stage.is(stage.header(0, "authorization") === stage.header(1, "authorization"), false);
    },
  },
  {
    name: "a second 401 is final",
    naive: false,
    options: { ...SOON, headers: () => ({ Authorization: "Bearer old" }) },
    play: answers(401),
    async run(stage) {
      await stage.until(() => stage.source.readyState === 2 && stage.requests === 2);
      await stage.pause(LONG_ENOUGH_MS);
      stage.is([stage.requests, (stage.errors.at(-1) as Partial<StreamErrorEvent>).terminal], [2, true]);
    },
  },
  {
    name: "headers are asked for before every attempt",
    naive: false,
    options: { ...SOON, headers: () => ({ "X-Attempt": String((tokens += 1)) }) },
    play: inTurn(breaks(), hello),
    async run(stage) {
      await assertHello(stage);
      stage.is(Number(stage.header(1, "x-attempt")) > Number(stage.header(0, "x-attempt")), true);
    },
  },
  {
    name: "Retry-After is a floor",
    naive: false,
    options: SOON,
    play: inTurn(answers(503, { "Retry-After": "1" }), hello),
    async run(stage) {
      await assertHello(stage);
      const [first, second] = stage.server.asked;
      stage.is((second?.atMs ?? 0) - (first?.atMs ?? 0) >= 990, true);
    },
  },
  {
    name: "retry: is the base of the wait",
    naive: false,
    options: { retryDelay: 60_000 },
    play: inTurn(ends("retry: 20\ndata: a\n\n"), hello),
    run: async (stage) => await stage.until(() => stage.requests === 2),
  },
  {
    name: "thirty clients that lost the server do not come back together",
    naive: false,
    options: { retryDelay: 800 },
    play: dropTogether,
    async run(stage) {
      for (let i = 1; i < 30; i += 1) stage.open();
      await stage.until(() => stage.requests >= 60);
      const returned = stage.server.asked.slice(30).map(({ atMs }) => atMs);
      stage.is(Math.max(...returned) - Math.min(...returned) > 300, true);
    },
  },
  {
    name: "a server that accepts and ends at once makes no hot loop",
    naive: false,
    options: { retryDelay: 1 },
    play: ends(),
    async run(stage) {
      // Doubling from 1 ms, the twelfth wait is two seconds long. Four, so that a hot loop is seen on a busy machine too.
      const untilMs = performance.now() + 4000;
      await stage.until(() => stage.requests > 18 || performance.now() > untilMs);
      stage.is(stage.requests >= 2 && stage.requests <= 18, true);
    },
  },
  {
    name: "an attempt that opens and brings nothing counts as a failure",
    naive: false,
    options: { retryDelay: 10, maxRetries: 3 },
    play: ends(),
    async run(stage) {
      await stage.until(() => stage.requests === 4);
      await stage.pause(LONG_ENOUGH_MS);
      stage.is([stage.requests, stage.source.readyState], [4, 2]);
    },
  },
  {
    name: "an event brings all retries back",
    naive: true,
    options: { retryDelay: 10, maxRetries: 2 },
    play: (request, response, index) =>
      void (index < 6 ? ends("data: a\n\n") : hello)(request, response, index),
    run: async (stage) => await stage.until(() => stage.requests === 7),
  },
  {
    name: "running out of retries is an error that says so",
    naive: false,
    options: { retryDelay: 10, maxRetries: 1 },
    play: answers(503),
    async run(stage) {
      await stage.until(() => stage.errors.length === 2);
      const { terminal, reason } = stage.errors[1] as Partial<StreamErrorEvent>;
      stage.is([terminal, reason, stage.source.readyState], [true, "retries-exhausted", 2]);
    },
  },
  {
    name: "the server comes up later than the client",
    naive: true,
    options: SOON,
    play: hello,
    downForMs: 300,
    run: assertHello,
  },
  {
    name: "a connection that is closed right after it was accepted is tried again",
    // Node 20's fetch never settles here, a newer one does.
    naive: undefined,
    options: { ...SOON, connectTimeout: 300 },
    play: hello,
    slam: 1,
    run: assertHello,
  },
  {
    name: "a server that never answers is given up and tried again",
    naive: false,
    options: { ...SOON, connectTimeout: 200 },
    play: inTurn(mute, hello),
    run: assertHello,
  },
  {
    name: "close() cancels the retry that is due",
    naive: false,
    options: { retryDelay: 100 },
    play: breaks(),
    async run(stage) {
      await stage.until(() => stage.errors.length === 1);
      stage.source.close();
      await stage.pause(LONG_ENOUGH_MS);
      stage.is(stage.requests, 1);
    },
  },
  {
    name: "a signal closes it for good, also while it waits",
    naive: false,
    // A new one for each run.
    get options() {
      leaving = new AbortController();
      return { retryDelay: 100, signal: leaving.signal };
    },
    play: breaks(),
    async run(stage) {
      await stage.until(() => stage.errors.length === 1);
      leaving.abort();
      await stage.pause(LONG_ENOUGH_MS);
      stage.is([stage.requests, stage.source.readyState], [1, 2]);
    },
  },
  {
    name: "while it waits it says that it is connecting",
    naive: false,
    options: { retryDelay: 60_000 },
    play: breaks(),
    async run(stage) {
      await stage.until(() => stage.errors.length === 1);
      stage.is(stage.source.readyState, 0);
    },
  },
  {
    name: "a body that is posted is posted again",
    naive: false,
    options: { ...SOON, method: "POST", body: "question" },
    play: inTurn(breaks(), hello),
    async run(stage) {
      await assertHello(stage);
      stage.is(
        stage.server.asked.map(({ method, body }) => `${method} ${body}`),
        ["POST question", "POST question"],
      );
    },
  },
  {
    name: "it begins where it is told to",
    naive: false,
    options: { lastEventId: "42" },
    play: hello,
    async run(stage) {
      await assertHello(stage);
      stage.is(stage.header(0, "last-event-id"), "42");
    },
  },
  {
    name: "a redirect is followed on every attempt",
    naive: true,
    options: SOON,
    play(request, response, index) {
      const go = request.url === "/" ? answers(307, { Location: "/stream" }) : index < 2 ? breaks() : hello;
      void go(request, response, index);
    },
    async run(stage) {
      await assertHello(stage);
      stage.is(stage.requests, 4);
    },
  },
];
