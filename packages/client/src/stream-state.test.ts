import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BACKOFF_CAP_MS } from "./backoff.js";
import {
  INITIAL_STATE,
  step,
  type LostInput,
  type Step,
  type StepContext,
  type StreamEffect,
  type StreamInput,
  type StreamState,
} from "./stream-state.js";

const calm: StepContext = {
  nowMs: 1000,
  random: 0.5,
  maxRetries: Infinity,
  retryDelayMs: 2000,
  backoffCapMs: BACKOFF_CAP_MS,
  canRefresh: false,
};

function lost(fields: Partial<LostInput> = {}): LostInput {
  return { kind: "lost", reason: "network", status: null, problem: null, retryAfterMs: 0, ...fields };
}

function run(inputs: readonly StreamInput[], context: Partial<StepContext> = {}): Step {
  let result: Step = { state: INITIAL_STATE, effects: [] };
  for (const input of inputs) result = step(result.state, input, { ...calm, ...context });
  return result;
}

const KINDS: readonly string[] = ["idle", "connecting", "open", "waiting", "closed"];
const kinds = (effects: readonly StreamEffect[]): string[] => effects.map(({ kind }) => kind);
const delayOf = ({ effects }: Step): number | undefined =>
  effects.flatMap((effect) => (effect.kind === "wait" ? [effect.delayMs] : []))[0];

const anyMs = fc.integer({ min: 0, max: 100_000 });
const anyInput: fc.Arbitrary<StreamInput> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<StreamInput>({ kind: "start" }) },
  { weight: 4, arbitrary: fc.constant<StreamInput>({ kind: "opened" }) },
  { weight: 4, arbitrary: fc.constant<StreamInput>({ kind: "timer" }) },
  { weight: 4, arbitrary: anyMs.map((retryAfterMs) => lost({ retryAfterMs })) },
  { weight: 3, arbitrary: fc.constant<StreamInput>(lost({ reason: "ended" })) },
  { weight: 2, arbitrary: fc.constant<StreamInput>({ kind: "event" }) },
  fc.constant<StreamInput>({ kind: "healthy" }),
  fc.constant<StreamInput>({ kind: "wake" }),
  fc.constant<StreamInput>({ kind: "done" }),
  fc.constantFrom(401, 403, 404).map<StreamInput>((status) => ({ kind: "refused", status, problem: null })),
  anyMs.map<StreamInput>((retryMs) => ({ kind: "retry", retryMs })),
  anyMs.map<StreamInput>((reconnectInMs) => ({ kind: "drain", reconnectInMs })),
  fc
    .constantFrom("closed" as const, "aborted" as const)
    .map<StreamInput>((reason) => ({ kind: "close", reason })),
);

/** What the effects amount to: the connections and timers that now exist. */
class Resources {
  connections = 0;
  timers = 0;

  follow(before: StreamState, input: StreamInput, effects: readonly StreamEffect[]): void {
    // A connection that reports its end, and a timer that has fired, are gone by themselves.
    const live = before.kind === "connecting" || before.kind === "open";
    if (live && (input.kind === "lost" || input.kind === "refused" || input.kind === "done"))
      this.connections--;
    if (before.kind === "waiting" && input.kind === "timer") this.timers--;
    for (const { kind } of effects) {
      if (kind === "connect") this.connections++;
      else if (kind === "disconnect") this.connections--;
      else if (kind === "wait") this.timers++;
      else if (kind === "cancelWait") this.timers--;
    }
  }
}

function expectInvariants(
  before: StreamState,
  input: StreamInput,
  context: StepContext,
  { state, effects }: Step,
  resources: Resources,
): void {
  resources.follow(before, input, effects);
  const live = state.kind === "connecting" || state.kind === "open";
  const terminal = effects.filter((effect) => effect.kind === "emitError" && effect.terminal).length;

  // 2. closed is final
  if (before.kind === "closed") {
    expect(state).toBe(before);
    expect(effects).toEqual([]);
  }
  // 3. what exists
  expect(resources.connections).toBe(live ? 1 : 0);
  expect(resources.timers).toBe(state.kind === "waiting" ? 1 : 0);
  // 4. failures fall only on a sign of health
  if (state.memory.failures < before.memory.failures) expect(["event", "healthy"]).toContain(input.kind);
  // 5. retries are bounded
  if (state.kind !== "closed") expect(state.memory.failures).toBeLessThanOrEqual(context.maxRetries);
  if (state.kind === "closed" && state.reason === "retries-exhausted") {
    expect(state.memory.failures).toBe(context.maxRetries + 1);
  }
  // 6. terminal errors
  const loud =
    before.kind !== "closed" &&
    state.kind === "closed" &&
    (state.reason === "refused" || state.reason === "retries-exhausted");
  expect(terminal).toBe(loud ? 1 : 0);
  // 7, 8, 9. waits
  for (const effect of effects) {
    if (effect.kind !== "wait" || state.kind !== "waiting") continue;
    expect(context.nowMs + effect.delayMs).toBe(state.nextAttemptAtMs);
    expect(state.nextAttemptAtMs).toBeGreaterThanOrEqual(state.notBeforeMs);
    if (input.kind !== "lost") continue;
    const drainInMs = before.memory.drainInMs;
    if (drainInMs !== null) {
      expect(effect.delayMs).toBe(drainInMs);
      expect(state.memory.failures).toBe(before.memory.failures);
    } else {
      const base = Math.min(before.memory.retryMs ?? context.retryDelayMs, BACKOFF_CAP_MS);
      const cap = Math.min(BACKOFF_CAP_MS, Math.max(base, context.backoffCapMs));
      expect(effect.delayMs).toBeLessThanOrEqual(Math.max(cap, input.retryAfterMs + base));
      // 10. a server that is only restarting is asked again soon
      if (before.memory.graceLeft > 0) {
        expect(effect.delayMs).toBeLessThanOrEqual(input.retryAfterMs + base);
        expect(state.memory.failures).toBe(before.memory.failures);
      }
    }
  }
  // 11. open is announced when it begins, and only then
  const opens = state.kind === "open" && before.kind !== "open";
  expect(kinds(effects).filter((kind) => kind === "emitOpen").length).toBe(opens ? 1 : 0);
}

describe("walks", () => {
  test("every invariant holds after every step of any walk", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyInput, fc.double({ min: 0, max: 0.999_999, noNaN: true }), anyMs), {
          maxLength: 60,
        }),
        fc.constantFrom(0, 1, 3, Infinity),
        fc.boolean(),
        fc.constantFrom(50, 5_000, BACKOFF_CAP_MS),
        (walk, maxRetries, canRefresh, backoffCapMs) => {
          let state = INITIAL_STATE;
          let nowMs = 0;
          const resources = new Resources();
          for (const [input, random, passedMs] of walk) {
            nowMs += passedMs;
            const context = { nowMs, random, maxRetries, retryDelayMs: 2000, backoffCapMs, canRefresh };
            const result = step(state, input, context);
            // 1. an answer to everything
            expect(KINDS).toContain(result.state.kind);
            expectInvariants(state, input, context, result, resources);
            ({ state } = result);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("retries", () => {
  test("the base doubles with each failure and stops at the cap", () => {
    const delays: (number | undefined)[] = [];
    let result = run([{ kind: "start" }]);
    for (let failure = 0; failure < 6; failure++) {
      result = step(result.state, lost(), { ...calm, random: 0.999_999 });
      delays.push(delayOf(result));
      result = step(result.state, { kind: "timer" }, calm);
    }
    expect(delays).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  test("a cap below the base does not shorten the base", () => {
    const context = { ...calm, random: 0.999_999, backoffCapMs: 500 };
    expect(delayOf(step(run([{ kind: "start" }]).state, lost(), context))).toBe(2000);
  });

  test("the server's retry: replaces the option as base", () => {
    const result = run([{ kind: "start" }, { kind: "opened" }, { kind: "retry", retryMs: 500 }, lost()]);
    expect(delayOf(result)).toBe(250);
  });

  test("opening alone does not reset the counter, an event does", () => {
    const again: StreamInput[] = [{ kind: "timer" }, { kind: "opened" }];
    expect(run([{ kind: "start" }, lost(), ...again]).state.memory.failures).toBe(1);
    expect(run([{ kind: "start" }, lost(), ...again, { kind: "event" }]).state.memory.failures).toBe(0);
    const healthy = run([{ kind: "start" }, lost(), ...again, { kind: "healthy" }]);
    expect(healthy.state).toMatchObject({ reason: "healthy", memory: { failures: 0 } });
    expect(kinds(healthy.effects)).toEqual(["emitState"]);
  });

  test("maxRetries: 0 closes at the first loss, with one terminal error", () => {
    const { state, effects } = run([{ kind: "start" }, lost({ status: 503 })], { maxRetries: 0 });
    expect(state).toMatchObject({ kind: "closed", reason: "retries-exhausted" });
    expect(effects).toContainEqual(
      expect.objectContaining({ kind: "emitError", terminal: true, status: 503 }),
    );
  });
});

describe("drain", () => {
  const drained: StreamInput[] = [
    { kind: "start" },
    { kind: "opened" },
    { kind: "retry", retryMs: 1000 },
    { kind: "retry", retryMs: 7000 },
    { kind: "drain", reconnectInMs: 7000 },
    lost({ reason: "ended" }),
  ];

  test("the end after it is no failure, says no error, and waits what the server said", () => {
    const result = run(drained);
    expect(result.state).toMatchObject({ kind: "waiting", reason: "drain", nextAttemptAtMs: 8000 });
    expect(kinds(result.effects)).toEqual(["wait", "emitState"]);
    expect(result.state.memory.failures).toBe(0);
  });

  test("its own retry: does not slow the backoff that may follow", () => {
    expect(run(drained).state.memory.retryMs).toBe(1000);
  });

  test("whoever comes back too early does not wait twice as long each time: the server is only restarting", () => {
    const delays: (number | undefined)[] = [];
    let result = run([...drained, { kind: "timer" }]);
    for (let failure = 0; failure < 12; failure++) {
      result = step(result.state, lost({ status: 502 }), { ...calm, random: 0.999_999 });
      delays.push(delayOf(result));
      result = step(result.state, { kind: "timer" }, calm);
    }
    expect(delays).toEqual([...Array.from({ length: 11 }, () => 1000), 2000]);
    // Once there is a stream again a loss is a loss like any other.
    result = step(result.state, { kind: "opened" }, calm);
    expect(result.state.memory.graceLeft).toBe(0);
  });

  test("a restart uses up no retries", () => {
    let result = run([...drained, { kind: "timer" }]);
    for (let attempt = 0; attempt < 10; attempt++) {
      result = step(result.state, lost({ status: 502 }), { ...calm, maxRetries: 0 });
      expect(result.state).toMatchObject({ kind: "waiting", memory: { failures: 0 } });
      result = step(result.state, { kind: "timer" }, calm);
    }
    result = step(result.state, lost({ status: 502 }), { ...calm, maxRetries: 0 });
    expect(result.state).toMatchObject({ kind: "closed", reason: "retries-exhausted" });
  });

  test("waking does not beat the spread that the server chose", () => {
    expect(run([...drained, { kind: "wake" }]).state).toMatchObject({ nextAttemptAtMs: 8000 });
  });
});

describe("waking", () => {
  test("a long wait becomes a short one", () => {
    const { state, effects } = run([{ kind: "start" }, lost(), { kind: "wake" }]);
    expect(kinds(effects)).toEqual(["cancelWait", "wait", "emitState"]);
    expect(state).toMatchObject({ nextAttemptAtMs: 1125 });
  });

  test("Retry-After is kept", () => {
    const { state } = run([{ kind: "start" }, lost({ retryAfterMs: 5000 }), { kind: "wake" }]);
    expect(state).toMatchObject({ kind: "waiting", nextAttemptAtMs: 6000 });
  });
});

describe("401", () => {
  const refused: StreamInput = { kind: "refused", status: 401, problem: null };

  test("is answered once with fresh headers, at once", () => {
    const { state, effects } = run([{ kind: "start" }, refused], { canRefresh: true });
    expect(state).toMatchObject({ kind: "connecting", reason: "refresh" });
    expect(kinds(effects)).toEqual(["connect", "emitState"]);
  });

  test("twice in a row is final", () => {
    const { state } = run([{ kind: "start" }, refused, refused], { canRefresh: true });
    expect(state).toMatchObject({ kind: "closed", reason: "refused" });
  });

  test("may be refreshed again once the stream has been healthy", () => {
    const { state } = run(
      [{ kind: "start" }, refused, { kind: "opened" }, { kind: "event" }, lost(), { kind: "timer" }, refused],
      { canRefresh: true },
    );
    expect(state).toMatchObject({ kind: "connecting", reason: "refresh" });
  });

  test("is final when headers can't change", () => {
    expect(run([{ kind: "start" }, refused]).state.kind).toBe("closed");
  });
});
