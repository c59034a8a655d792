/**
 * The life of a stream as a pure, total table: (state, input, context) → (state, effects). stable-event-source.ts does the deeds.
 *
 *     idle ──start──▶ connecting ──opened──▶ open
 *                       ▲   │ lost             │ lost
 *                 timer │   ▼                  ▼
 *                      waiting ◀───────────────┘        any ──done · refused · exhausted · close──▶ closed
 *
 * Invariants; stream-state.test.ts walks the table at random and checks each after every step.
 *  1. Total: every state answers every input (the type of TABLE).
 *  2. `closed` is final: no input leaves it, no effect comes out of it.
 *  3. connecting and open own exactly one connection, waiting exactly one timer, idle and closed nothing.
 *  4. `failures` falls only on `event` and `healthy`, never on `opened`: a server that accepts and closes makes no hot loop.
 *  5. At most `maxRetries` failures are followed by another attempt; the next one closes with `retries-exhausted`.
 *  6. Closing by refusal or exhaustion says so in exactly one terminal error; done, closed and aborted say none.
 *  7. No attempt starts before the floor the server named (`Retry-After`, `drain`), also not when woken.
 *  8. A wait is at most the cap, or the floor and one base.
 *  9. An end after `drain` is no failure: `failures` stays, the wait is what `drain` said.
 * 10. After `drain`, and until a stream has opened, up to ten losses are no failures: each waits at most one base (or the floor and one base).
 * 11. Between two opens there is a loss; `open` is announced once for each.
 */
import { backoffDelayMs } from "./backoff.js";
import type { Problem } from "./problem.js";

/** Why an attempt or a stream was lost; each is followed by a retry. */
export type LossReason =
  | "ended"
  | "network"
  | "connect-timeout"
  | "silence"
  /** A heartbeat told of an event that had not come. */
  | "missed"
  | "status"
  | "content-type"
  | "headers"
  | "oversized";

export type CloseReason = "done" | "refused" | "retries-exhausted" | "closed" | "aborted";

export type StateReason =
  | "new"
  | "start"
  | "timer"
  | "refresh"
  | "opened"
  | "healthy"
  | "drain"
  | LossReason
  | CloseReason;

/** What is remembered from one attempt to the next. */
export interface StreamMemory {
  /** Since the last sign of health. */
  readonly failures: number;
  /** The server's `retry:`. */
  readonly retryMs: number | null;
  /** The `retry:` before that: `drain` brings one of its own, meant for native clients and once. */
  readonly retryBeforeMs: number | null;
  readonly drainInMs: number | null;
  /** Losses that are still no failures, since the server has said that it goes away; 0 once a stream has opened. */
  readonly graceLeft: number;
  /** A 401 was answered with fresh headers; a second one is final. */
  readonly refreshed: boolean;
}

interface StateShape<K extends string> {
  readonly kind: K;
  readonly reason: StateReason;
  readonly memory: StreamMemory;
}

export interface WaitingState extends StateShape<"waiting"> {
  readonly nextAttemptAtMs: number;
  /** Waking may shorten the wait down to this. */
  readonly notBeforeMs: number;
}

export interface ClosedState extends StateShape<"closed"> {
  readonly reason: CloseReason;
}

export type StreamState =
  | StateShape<"idle">
  | StateShape<"connecting">
  | StateShape<"open">
  | WaitingState
  | ClosedState;

export type StreamStateKind = StreamState["kind"];

export interface LostInput {
  readonly kind: "lost";
  readonly reason: LossReason;
  readonly status: number | null;
  readonly problem: Problem | null;
  /** `Retry-After`; 0 for none. */
  readonly retryAfterMs: number;
}

export interface RefusedInput {
  readonly kind: "refused";
  readonly status: number;
  readonly problem: Problem | null;
}

export type StreamInput =
  | { readonly kind: "start" }
  | { readonly kind: "opened" }
  /** 204. */
  | { readonly kind: "done" }
  | RefusedInput
  | LostInput
  /** An event that proves health; what every connection begins with does not. */
  | { readonly kind: "event" }
  /** Open for some seconds. */
  | { readonly kind: "healthy" }
  | { readonly kind: "retry"; readonly retryMs: number }
  | { readonly kind: "drain"; readonly reconnectInMs: number }
  | { readonly kind: "timer" }
  /** The network is back, the page is shown: look at once. */
  | { readonly kind: "wake" }
  | { readonly kind: "close"; readonly reason: "closed" | "aborted" };

export interface ErrorEffect {
  readonly kind: "emitError";
  readonly terminal: boolean;
  readonly reason: StateReason;
  readonly status: number | null;
  readonly problem: Problem | null;
}

/** Deeds come before announcements, so a listener that calls `close()` finds nothing half done. */
export type StreamEffect =
  | { readonly kind: "connect" }
  | { readonly kind: "disconnect" }
  | { readonly kind: "wait"; readonly delayMs: number }
  | { readonly kind: "cancelWait" }
  | { readonly kind: "emitState" }
  | { readonly kind: "emitOpen" }
  | ErrorEffect;

export interface StepContext {
  readonly nowMs: number;
  /** 0 ≤ x < 1. */
  readonly random: number;
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  /** The longest wait that the client chooses by itself. */
  readonly backoffCapMs: number;
  /** Whether asking for headers again may bring others. */
  readonly canRefresh: boolean;
}

export interface Step {
  readonly state: StreamState;
  readonly effects: readonly StreamEffect[];
}

export const INITIAL_STATE: StreamState = {
  kind: "idle",
  reason: "new",
  memory: {
    failures: 0,
    retryMs: null,
    retryBeforeMs: null,
    drainInMs: null,
    graceLeft: 0,
    refreshed: false,
  },
};

// Enough to keep a thousand woken tabs from knocking in one millisecond, too short to notice.
const WAKE_JITTER_MS = 250;

type InputKind = StreamInput["kind"];
type InputOf<I extends InputKind> = Extract<StreamInput, { kind: I }>;
type StateOf<S extends StreamStateKind> = Extract<StreamState, { kind: S }>;
type Cell<S extends StreamStateKind, I extends InputKind> = (
  state: StateOf<S>,
  input: InputOf<I>,
  context: StepContext,
) => Step;

const stay = (state: StreamState): Step => ({ state, effects: [] });

function begin({ memory }: StreamState, { kind }: { kind: "start" | "timer" }): Step {
  return {
    state: { kind: "connecting", reason: kind, memory },
    effects: [{ kind: "connect" }, { kind: "emitState" }],
  };
}

function open({ memory }: StreamState): Step {
  return {
    state: { kind: "open", reason: "opened", memory: { ...memory, drainInMs: null, graceLeft: 0 } },
    effects: [{ kind: "emitState" }, { kind: "emitOpen" }],
  };
}

function settle(state: StateOf<"open">): Step {
  const { memory } = state;
  if (memory.failures === 0 && !memory.refreshed) return stay(state);
  // Told, so that "attempt 3" does not stand on a page for as long as all is well.
  return {
    state: { ...state, reason: "healthy", memory: { ...memory, failures: 0, refreshed: false } },
    effects: [{ kind: "emitState" }],
  };
}

function learn(state: StateOf<"open">, { retryMs }: InputOf<"retry">): Step {
  const { memory } = state;
  return { state: { ...state, memory: { ...memory, retryMs, retryBeforeMs: memory.retryMs } }, effects: [] };
}

function drain(state: StateOf<"open">, { reconnectInMs }: InputOf<"drain">): Step {
  const { memory } = state;
  // The drain's own `retry:` came just before; kept, it would slow every later backoff.
  const retryMs = memory.retryMs === reconnectInMs ? memory.retryBeforeMs : memory.retryMs;
  return { state: { ...state, memory: { ...memory, retryMs, drainInMs: reconnectInMs } }, effects: [] };
}

function waitFor(reason: StateReason, memory: StreamMemory, delayMs: number, floorMs: number, nowMs: number) {
  return {
    kind: "waiting",
    reason,
    memory,
    nextAttemptAtMs: nowMs + delayMs,
    notBeforeMs: nowMs + floorMs,
  } as const;
}

// About five seconds at the base of one that the server sends: a restart. Longer, and it is an outage like any other.
const ATTEMPTS_AFTER_DRAIN = 10;

function lose({ memory }: StreamState, input: LostInput, context: StepContext): Step {
  if (memory.drainInMs !== null) {
    const delayMs = memory.drainInMs;
    const drained = { ...memory, drainInMs: null, graceLeft: ATTEMPTS_AFTER_DRAIN };
    return {
      state: waitFor("drain", drained, delayMs, delayMs, context.nowMs),
      effects: [{ kind: "wait", delayMs }, { kind: "emitState" }],
    };
  }
  const { reason, status, problem } = input;
  // Doubling would keep those who came too early away long after a server that is only restarting has come back.
  const graced = memory.graceLeft > 0;
  const graceLeft = Math.max(0, memory.graceLeft - 1);
  const failures = memory.failures + (graced ? 0 : 1);
  if (!graced && failures > context.maxRetries) {
    return {
      state: { kind: "closed", reason: "retries-exhausted", memory: { ...memory, failures } },
      effects: [
        { kind: "emitState" },
        { kind: "emitError", terminal: true, reason: "retries-exhausted", status, problem },
      ],
    };
  }
  const delayMs = backoffDelayMs({
    baseMs: memory.retryMs ?? context.retryDelayMs,
    failures: graced ? 1 : failures,
    floorMs: input.retryAfterMs,
    random: context.random,
    capMs: context.backoffCapMs,
  });
  return {
    state: waitFor(reason, { ...memory, failures, graceLeft }, delayMs, input.retryAfterMs, context.nowMs),
    effects: [
      { kind: "wait", delayMs },
      { kind: "emitState" },
      { kind: "emitError", terminal: false, reason, status, problem },
    ],
  };
}

function refuse({ memory }: StreamState, input: RefusedInput, context: StepContext): Step {
  const { status, problem } = input;
  if (status === 401 && context.canRefresh && !memory.refreshed) {
    return {
      state: { kind: "connecting", reason: "refresh", memory: { ...memory, refreshed: true } },
      effects: [{ kind: "connect" }, { kind: "emitState" }],
    };
  }
  return {
    state: { kind: "closed", reason: "refused", memory },
    effects: [
      { kind: "emitState" },
      { kind: "emitError", terminal: true, reason: "refused", status, problem },
    ],
  };
}

function finish({ memory }: StreamState): Step {
  return { state: { kind: "closed", reason: "done", memory }, effects: [{ kind: "emitState" }] };
}

function look(state: WaitingState, _input: InputOf<"wake">, { nowMs, random }: StepContext): Step {
  const nextAttemptAtMs = Math.max(state.notBeforeMs, nowMs + Math.round(random * WAKE_JITTER_MS));
  if (nextAttemptAtMs >= state.nextAttemptAtMs) return stay(state);
  return {
    state: { ...state, nextAttemptAtMs },
    effects: [
      { kind: "cancelWait" },
      { kind: "wait", delayMs: nextAttemptAtMs - nowMs },
      { kind: "emitState" },
    ],
  };
}

function closed(memory: StreamMemory, reason: CloseReason, first: readonly StreamEffect[]): Step {
  return { state: { kind: "closed", reason, memory }, effects: [...first, { kind: "emitState" }] };
}

const closeIdle = ({ memory }: StreamState, { reason }: InputOf<"close">): Step => closed(memory, reason, []);
const closeLive = ({ memory }: StreamState, { reason }: InputOf<"close">): Step =>
  closed(memory, reason, [{ kind: "disconnect" }]);
const closeWait = ({ memory }: StreamState, { reason }: InputOf<"close">): Step =>
  closed(memory, reason, [{ kind: "cancelWait" }]);

/**
 * `drain` and `retry:` in `connecting` can't happen: nothing is read before `opened`. They stay, as all that is late does.
 * `done` and `refused` in `open` come over polls, where one of many answers may say so.
 */
const TABLE: { readonly [S in StreamStateKind]: { readonly [I in InputKind]: Cell<S, I> } } = {
  idle: {
    start: begin,
    opened: stay,
    done: stay,
    refused: stay,
    lost: stay,
    event: stay,
    healthy: stay,
    retry: stay,
    drain: stay,
    timer: stay,
    wake: stay,
    close: closeIdle,
  },
  connecting: {
    start: stay,
    opened: open,
    done: finish,
    refused: refuse,
    lost: lose,
    event: stay,
    healthy: stay,
    retry: stay,
    drain: stay,
    timer: stay,
    wake: stay,
    close: closeLive,
  },
  open: {
    start: stay,
    opened: stay,
    done: finish,
    refused: refuse,
    lost: lose,
    event: settle,
    healthy: settle,
    retry: learn,
    drain,
    timer: stay,
    wake: stay,
    close: closeLive,
  },
  waiting: {
    start: stay,
    opened: stay,
    done: stay,
    refused: stay,
    lost: stay,
    event: stay,
    healthy: stay,
    retry: stay,
    drain: stay,
    timer: begin,
    wake: look,
    close: closeWait,
  },
  closed: {
    start: stay,
    opened: stay,
    done: stay,
    refused: stay,
    lost: stay,
    event: stay,
    healthy: stay,
    retry: stay,
    drain: stay,
    timer: stay,
    wake: stay,
    close: stay,
  },
};

export function step(state: StreamState, input: StreamInput, context: StepContext): Step {
  // The table's type pairs every cell with its state and input; TypeScript can't follow the pair through two look-ups.
  const cell = TABLE[state.kind][input.kind] as (s: StreamState, i: StreamInput, c: StepContext) => Step;
  return cell(state, input, context);
}
