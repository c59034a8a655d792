/**
 * A source that may step down, against a way that is played: through a proxy that holds back, and through ten thousand ordinary drops.
 * The clock is manual; what remembers is the process, so each case has an origin of its own.
 */
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { ManualEnvironment, settled } from "./manual-environment.test.kit.js";
import { frame } from "./node-local-server.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import { INTERNALS, type StableEventSourceOptions } from "./stream-options.js";
import { step, initialState, type LossReason, type StepContext } from "./stream-state.js";
import { cursor } from "./task.test.kit.js";
import { POLL_FOR_MS } from "./transport-choice.js";

const sources: StableEventSource[] = [];
afterEach(() => {
  for (const source of sources.splice(0)) source.close();
});

const headers = { "Content-Type": "text/event-stream" };
const hello = frame("connected", { heartbeatMs: 10_000 }, cursor(1));
const mute = (): Response => new Response(new ReadableStream(), { headers });
const never = (): Promise<Response> => new Promise(() => undefined);
const flowing = (): Response =>
  new Response(
    new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode(hello)) }),
    { headers },
  );
const polled = (): Response => new Response(hello, { headers });

type Way = (poll: boolean) => Response | Promise<Response>;
let origins = 0;

class Journey {
  readonly environment: ManualEnvironment = new ManualEnvironment();
  readonly url: string;
  /** What was asked, in order; polls that follow a poll are left out. */
  readonly asked: string[] = [];
  way: Way;

  constructor(way: Way, url = `http://holdfast-${(origins += 1)}.test/stream`) {
    this.way = way;
    this.url = url;
  }

  open(options: StableEventSourceOptions = { transports: ["sse", "poll"] }): StableEventSource {
    const source = new StableEventSource(this.url, {
      ...options,
      fetch: async (input) => {
        const poll =
          new URL(input instanceof Request ? input.url : input).searchParams.get("transport") === "poll";
        const name = poll ? "poll" : "sse";
        if (!poll || this.asked.at(-1) !== name) this.asked.push(name);
        return await this.way(poll);
      },
      [INTERNALS]: { environment: this.environment },
    });
    sources.push(source);
    return source;
  }

  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second += 1) {
      await settled();
      this.environment.advance(1000);
    }
    await settled();
  }
}

describe("behind a proxy that holds streams back", () => {
  test("two mute answers lead to polls, on the same cursor and without a terminal error", async () => {
    const journey = new Journey((poll) => (poll ? polled() : mute()));
    const source = journey.open();
    const errors: unknown[] = [];
    source.addEventListener("error", ({ reason, terminal }) => void errors.push([reason, terminal]));
    await journey.pass(25);
    expect(journey.asked).toEqual(["sse", "sse", "poll"]);
    expect(source.state).toMatchObject({ state: "open", transport: "poll" });
    expect(errors).toEqual([
      ["mute", false],
      ["mute", false],
    ]);
  });

  test("a slow server is not mute: a byte within the deadline is enough, whenever the next comes", async () => {
    const journey = new Journey(flowing);
    const source = journey.open();
    await journey.pass(120);
    expect(new Set(journey.asked)).toEqual(new Set(["sse"]));
    expect(source.state.transport).toBe("sse");
  });

  test("where even heads are held back one poll is asked first, and only a stream that fails again after it settles it", async () => {
    const journey = new Journey((poll) => (poll ? polled() : never()));
    const source = journey.open();
    await journey.pass(40);
    expect(journey.asked).toEqual(["sse", "sse", "poll", "sse", "poll"]);
    expect(source.state).toMatchObject({ state: "open", transport: "poll" });
  });

  test("the next source of that origin begins with polls, another origin's does not", async () => {
    const first = new Journey((poll) => (poll ? polled() : mute()));
    first.open();
    await first.pass(25);
    const again = new Journey(first.way, first.url);
    const other = new Journey(first.way);
    // Their clocks stand where the first one's does.
    for (const journey of [again, other]) {
      await journey.pass(25);
      journey.open();
    }
    await Promise.all([again.pass(1), other.pass(1)]);
    expect([again.asked, other.asked]).toEqual([["poll"], ["sse"]]);
  });

  test("when the time is up a stream is tried, and one mute attempt leads back to polls", async () => {
    const journey = new Journey((poll) => (poll ? polled() : mute()));
    const source = journey.open();
    await journey.pass(25);
    await journey.pass(POLL_FOR_MS / 1000 + 15);
    expect(journey.asked).toEqual(["sse", "sse", "poll", "sse", "poll"]);
    journey.way = (poll) => (poll ? polled() : flowing());
    await journey.pass(POLL_FOR_MS / 1000);
    expect(journey.asked.slice(5)).toEqual(["sse"]);
    expect(source.state).toMatchObject({ state: "open", transport: "sse" });
  });

  test("a source that was not told of polls never asks for one", async () => {
    const journey = new Journey(mute);
    journey.open({ transports: ["sse"], heartbeatTimeout: 5000 });
    await journey.pass(300);
    expect(new Set(journey.asked)).toEqual(new Set(["sse"]));
  });
});

test("an outage of whatever length ends with a stream again, at most one poll later", async () => {
  for (const seconds of [5, 15, 25, 35, 60, 120]) {
    const journey = new Journey(never);
    const source = journey.open();
    await journey.pass(seconds);
    journey.way = (poll) => (poll ? polled() : flowing());
    await journey.pass(45);
    expect(source.state, `after ${seconds} s`).toMatchObject({ state: "open", transport: "sse" });
  }
});

test("ten thousand ordinary drops, and the outages between them, never end in polls that stay", () => {
  const drops: readonly LossReason[] = ["ended", "network", "silence", "status", "missed", "connect-timeout"];
  const context: StepContext = {
    nowMs: 0,
    random: 0.5,
    maxRetries: Infinity,
    retryDelayMs: 1000,
    backoffCapMs: 5000,
    canRefresh: false,
    canStepDown: true,
  };
  const drawn = fc.sample(fc.nat(999), { numRuns: 40_000, seed: 20_261_124 });
  let at = 0;
  const draw = (below: number): number => (drawn[at++ % drawn.length] ?? 0) % below;
  let settledOnPolls = 0;
  let nowMs = 0;
  let state = initialState({ transport: "sse", mute: 0, pollUntilMs: 0 });
  const take = (input: Parameters<typeof step>[1]): void => {
    nowMs = Math.max(nowMs + 1, state.nextAttemptAtMs ?? 0);
    state = step(state, input, { ...context, nowMs });
    if (state.transport === "poll" && state.pollUntilMs > nowMs) settledOnPolls += 1;
  };
  const lost = (reason: LossReason): void =>
    take({ kind: "lost", reason, status: null, problem: null, retryAfterMs: 0 });
  take({ kind: "start" });
  for (let drop = 0; drop < 10_000; drop += 1) {
    // Most streams live before they drop. Some die at once, and a link that is down times out a few times in a row.
    if (draw(4) > 0) {
      take({ kind: "opened" });
      if (state.transport === "poll") take({ kind: "probe" });
      else if (draw(2) > 0) take({ kind: "event" });
      if (state.kind === "connecting") take({ kind: "opened" });
      lost(drops[draw(5)] ?? "ended");
    } else {
      for (let outage = draw(8); outage >= 0; outage -= 1) {
        lost(drops[draw(6)] ?? "ended");
        if (outage > 0) take({ kind: "timer" });
      }
    }
    take({ kind: "timer" });
  }
  expect(settledOnPolls).toBe(0);
});
