import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BACKOFF_CAP_MS } from "./backoff.js";
import {
  initialState,
  step,
  type LostInput,
  type StepContext,
  type StreamInput,
  type StreamState,
} from "./stream-state.js";
import { POLL_FOR_MS } from "./transport-choice.js";

const calm: StepContext = {
  nowMs: 1000,
  random: 0.5,
  maxRetries: Infinity,
  retryDelayMs: 2000,
  backoffCapMs: BACKOFF_CAP_MS,
  canRefresh: false,
  canStepDown: false,
};
const almostOne = 0.999_999;
const NEW = initialState({ transport: "sse", mute: 0, pollUntilMs: 0 });

function lost(fields: Partial<LostInput> = {}): LostInput {
  return { kind: "lost", reason: "network", status: null, problem: null, retryAfterMs: 0, ...fields };
}

const start: StreamInput = { kind: "start" };
const opened: StreamInput = { kind: "opened" };
const timer: StreamInput = { kind: "timer" };

function run(inputs: readonly StreamInput[], context: Partial<StepContext> = {}, from = NEW): StreamState {
  return inputs.reduce((state, input) => step(state, input, { ...calm, ...context }), from);
}

/** How long after `calm.nowMs` the next attempt is due. */
const delayOf = ({ nextAttemptAtMs }: StreamState): number => (nextAttemptAtMs ?? NaN) - calm.nowMs;

describe("walks", () => {
  const anyMs = fc.integer({ min: 0, max: 100_000 });
  const anyInput: fc.Arbitrary<StreamInput> = fc.oneof(
    { weight: 3, arbitrary: fc.constant(start) },
    { weight: 4, arbitrary: fc.constant(opened) },
    { weight: 6, arbitrary: fc.constant(timer) },
    { weight: 3, arbitrary: anyMs.map((retryAfterMs) => lost({ retryAfterMs })) },
    {
      weight: 6,
      arbitrary: fc
        .constantFrom("ended", "mute", "connect-timeout", "silence")
        .map((reason) => lost({ reason })),
    },
    { weight: 2, arbitrary: fc.constant<StreamInput>({ kind: "event" }) },
    fc.constantFrom<StreamInput>({ kind: "healthy" }, { kind: "done" }, { kind: "probe" }),
    fc.constantFrom(0, 250).map<StreamInput>((jitterMs) => ({ kind: "wake", jitterMs })),
    fc.constantFrom(401, 403, 404).map<StreamInput>((status) => ({ kind: "refused", status, problem: null })),
    anyMs.map<StreamInput>((retryMs) => ({ kind: "retry", retryMs })),
    anyMs.map<StreamInput>((reconnectInMs) => ({ kind: "drain", reconnectInMs })),
    fc.constantFrom("closed", "aborted").map<StreamInput>((reason) => ({ kind: "close", reason })),
  );

  /** The numbers are those of the essay in stream-state.ts; `muteInARow` is counted here, apart from the machine. */
  function expectInvariants(
    before: StreamState,
    input: StreamInput,
    context: StepContext,
    state: StreamState,
    muteInARow: number,
  ): void {
    // 2. closed is final
    if (before.kind === "closed") expect(state).toBe(before);
    // 3. what a state owns follows from it
    expect(state.nextAttemptAtMs !== null).toBe(state.kind === "waiting");
    if (state.kind === "connecting" && state !== before) {
      const attempts = { start: "idle", timer: "waiting", refused: "live", probe: "open" } as const;
      expect(Object.keys(attempts)).toContain(input.kind);
      if (before.kind === "connecting") expect([input.kind, state.reason]).toEqual(["refused", "refresh"]);
    }
    // 4. failures fall only on a sign of health
    if (state.failures < before.failures) expect(["event", "healthy"]).toContain(input.kind);
    // 5. retries are bounded
    if (state.kind !== "closed") expect(state.failures).toBeLessThanOrEqual(context.maxRetries);
    if (state.reason === "retries-exhausted") expect(state.failures).toBe(context.maxRetries + 1);
    // 6. terminal errors
    if (state.kind === "closed") {
      expect(state.loss !== null).toBe(["refused", "retries-exhausted"].includes(state.reason));
    }
    expectWait(before, input, context, state);
    // 11. transports
    if (!context.canStepDown) expect(state.transport).toBe("sse");
    if (before.transport === "sse" && state.transport === "poll") {
      expect(muteInARow).toBeGreaterThanOrEqual(2);
      const stays = state.pollUntilMs > context.nowMs;
      if (stays && muteInARow === 2) expect(input).toMatchObject({ reason: "mute" });
    }
  }

  /** 7 to 10 */
  function expectWait(
    before: StreamState,
    input: StreamInput,
    context: StepContext,
    state: StreamState,
  ): void {
    if (state.nextAttemptAtMs === null) return;
    expect(state.nextAttemptAtMs).toBeGreaterThanOrEqual(state.notBeforeMs);
    if (input.kind !== "lost" || before.kind === "waiting") return;
    const delayMs = state.nextAttemptAtMs - context.nowMs;
    if (before.drainInMs !== null) {
      expect([delayMs, state.failures]).toEqual([before.drainInMs, before.failures]);
      return;
    }
    const base = Math.min(before.retryMs ?? context.retryDelayMs, BACKOFF_CAP_MS);
    const cap = Math.min(BACKOFF_CAP_MS, Math.max(base, context.backoffCapMs));
    expect(delayMs).toBeLessThanOrEqual(Math.max(cap, input.retryAfterMs + base));
    if (before.graceLeft === 0) return;
    expect(delayMs).toBeLessThanOrEqual(input.retryAfterMs + base);
    expect(state.failures).toBe(before.failures);
  }

  test("every invariant holds after every step of any walk", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyInput, fc.double({ min: 0, max: almostOne, noNaN: true }), anyMs), {
          maxLength: 60,
        }),
        fc.record({
          maxRetries: fc.constantFrom(0, 1, 3, Infinity),
          canRefresh: fc.boolean(),
          canStepDown: fc.boolean(),
          backoffCapMs: fc.constantFrom(50, 5_000, BACKOFF_CAP_MS),
        }),
        (walk, fields) => {
          let state = NEW;
          let nowMs = 0;
          let muteInARow = 0;
          for (const [input, random, passedMs] of walk) {
            nowMs += passedMs;
            const before = state;
            const context = { ...calm, ...fields, nowMs, random };
            state = step(before, input, context);
            if (state !== before && input.kind === "lost" && before.transport === "sse") {
              const mute = input.reason === "mute" || input.reason === "connect-timeout";
              // An end that was announced says nothing of the way.
              if (before.drainInMs === null) muteInARow = mute ? muteInARow + 1 : 0;
            }
            // 1. an answer to everything
            expect(["idle", "connecting", "open", "waiting", "closed"]).toContain(state.kind);
            expectInvariants(before, input, context, state, muteInARow);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("retries", () => {
  test("the base doubles from the third failure on and stops at the cap", () => {
    let state = run([start]);
    const delays = Array.from({ length: 7 }, () => {
      const waiting = step(state, lost(), { ...calm, random: almostOne });
      state = step(waiting, timer, calm);
      return delayOf(waiting);
    });
    expect(delays).toEqual([2000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  test("a cap below the base does not shorten the base", () => {
    expect(delayOf(run([start, lost()], { random: almostOne, backoffCapMs: 500 }))).toBe(2000);
  });

  test("the server's retry: replaces the option as base", () => {
    expect(delayOf(run([start, opened, { kind: "retry", retryMs: 500 }, lost()]))).toBe(250);
  });

  test("opening alone does not reset the counter, an event does, and some seconds of health", () => {
    const again = [start, lost(), timer, opened];
    expect(run(again)).toMatchObject({ reason: "opened", failures: 1 });
    expect(run([...again, { kind: "event" }])).toMatchObject({ reason: "healthy", failures: 0 });
    expect(run([...again, { kind: "healthy" }])).toMatchObject({ reason: "healthy", failures: 0 });
  });

  test("maxRetries: 0 closes at the first loss and says what it was", () => {
    expect(run([start, lost({ status: 503 })], { maxRetries: 0 })).toMatchObject({
      kind: "closed",
      reason: "retries-exhausted",
      loss: { status: 503, problem: null },
    });
  });
});

describe("drain", () => {
  const drained: readonly StreamInput[] = [
    start,
    opened,
    { kind: "retry", retryMs: 1000 },
    { kind: "retry", retryMs: 7000 },
    { kind: "drain", reconnectInMs: 7000 },
    lost({ reason: "ended" }),
  ];

  test("the end after it is no failure, says no error, and waits what the server said", () => {
    expect(run(drained)).toMatchObject({
      kind: "waiting",
      reason: "drain",
      nextAttemptAtMs: 8000,
      failures: 0,
      loss: null,
    });
  });

  test("its own retry: does not slow the backoff that may follow", () => {
    expect(run(drained).retryMs).toBe(1000);
  });

  test("whoever comes back too early does not wait twice as long each time: the server is only restarting", () => {
    let state = run([...drained, timer]);
    const delays = Array.from({ length: 13 }, () => {
      const waiting = step(state, lost({ status: 502 }), { ...calm, random: almostOne });
      state = step(waiting, timer, calm);
      return delayOf(waiting);
    });
    expect(delays).toEqual([...Array.from({ length: 12 }, () => 1000), 2000]);
    // Once there is a stream again a loss is a loss like any other.
    expect(step(state, opened, calm).graceLeft).toBe(0);
  });

  test("a restart uses up no retries", () => {
    const fails: readonly StreamInput[] = [lost({ status: 502 }), timer];
    const state = run(
      Array.from({ length: 10 }, () => fails).flat(),
      { maxRetries: 0 },
      run([...drained, timer]),
    );
    expect(state).toMatchObject({ kind: "connecting", failures: 0 });
    expect(step(state, lost(), { ...calm, maxRetries: 0 })).toMatchObject({ reason: "retries-exhausted" });
  });

  test("waking does not beat the spread that the server chose", () => {
    expect(run([...drained, { kind: "wake", jitterMs: 0 }])).toMatchObject({ nextAttemptAtMs: 8000 });
  });
});

describe("waking", () => {
  test("a long wait becomes a short one, spread a little", () => {
    const woken = run([start, lost(), { kind: "wake", jitterMs: 250 }]);
    expect(woken).toMatchObject({ kind: "waiting", reason: "wake", nextAttemptAtMs: 1125 });
  });

  test("a wait that is short already is left alone", () => {
    const waiting = run([start, lost()], { random: 0.01 });
    expect(step(waiting, { kind: "wake", jitterMs: 250 }, calm)).toBe(waiting);
  });

  test("Retry-After is kept", () => {
    const woken = run([start, lost({ retryAfterMs: 5000 }), { kind: "wake", jitterMs: 0 }]);
    expect(woken).toMatchObject({ kind: "waiting", nextAttemptAtMs: 6000 });
  });
});

describe("401", () => {
  const refused: StreamInput = { kind: "refused", status: 401, problem: null };
  const canRefresh = true;

  test("is answered once with fresh headers, at once", () => {
    expect(run([start, refused], { canRefresh })).toMatchObject({ kind: "connecting", reason: "refresh" });
  });

  test("twice in a row is final", () => {
    expect(run([start, refused, refused], { canRefresh })).toMatchObject({
      kind: "closed",
      reason: "refused",
      loss: { status: 401 },
    });
  });

  test("may be refreshed again once the stream has been healthy", () => {
    const healthy = [start, refused, opened, { kind: "event" } as const, lost(), timer];
    expect(run([...healthy, refused], { canRefresh })).toMatchObject({ reason: "refresh" });
  });

  test("is final when headers can't change", () => {
    expect(run([start, refused]).kind).toBe("closed");
  });
});

describe("transports", () => {
  const mute = lost({ reason: "mute" });
  const headless = lost({ reason: "connect-timeout" });
  const attempt = (loss: LostInput): readonly StreamInput[] => [loss, timer];
  const on = { canStepDown: true };

  test("two answers that stay mute are proof of a proxy that holds streams back", () => {
    expect(run([start, ...attempt(mute)], on)).toMatchObject({ transport: "sse", mute: 1 });
    expect(run([start, ...attempt(mute), ...attempt(mute)], on)).toMatchObject({
      transport: "poll",
      pollUntilMs: calm.nowMs + POLL_FOR_MS,
    });
  });

  test("a stream that drops before the second says that the way is open", () => {
    for (const loss of [lost({ reason: "ended" }), lost({ status: 502, reason: "status" }), lost()]) {
      expect(run([start, ...attempt(mute), ...attempt(loss), ...attempt(mute)], on).transport).toBe("sse");
    }
  });

  test("nothing at all, twice, is a suspicion: one poll, then a stream again", () => {
    const suspected = run([start, ...attempt(headless), ...attempt(headless)], on);
    expect(suspected).toMatchObject({ transport: "poll", pollUntilMs: calm.nowMs });
    const probing = run([opened, { kind: "probe" }], on, suspected);
    expect(probing).toMatchObject({ kind: "connecting", reason: "probe", transport: "sse", failures: 2 });
    // The stream comes through: it was an outage.
    const back = run([opened, { kind: "event" }, lost({ reason: "ended" })], on, probing);
    expect(back).toMatchObject({ transport: "sse", mute: 0 });
    // It does not, although polls do: it was a proxy.
    expect(run([headless], on, probing)).toMatchObject({
      transport: "poll",
      pollUntilMs: calm.nowMs + POLL_FOR_MS,
    });
  });

  test("a poll that fails like the streams before it is no proof", () => {
    const outage = Array.from({ length: 20 }, () => attempt(headless)).flat();
    const state = run([start, ...outage], on);
    expect(state.pollUntilMs).toBeLessThanOrEqual(calm.nowMs);
  });

  test("drops do not end polls that were proven needed, time does", () => {
    const proven = run([start, ...attempt(mute), ...attempt(mute), opened, ...attempt(lost())], on);
    expect(proven.transport).toBe("poll");
    const later = { ...on, nowMs: calm.nowMs + POLL_FOR_MS };
    expect(run([lost()], later, proven)).toMatchObject({ transport: "sse", mute: 1 });
  });

  test("where stepping down is not allowed nothing is held against streams", () => {
    expect(run([start, ...attempt(mute), ...attempt(mute), mute]).transport).toBe("sse");
  });
});
