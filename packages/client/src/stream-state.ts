/**
 * The life of a stream as a pure, total table: (state, input, context) → state. What a state owns and what its beginning announces follow
 * from the state alone (stable-event-source.ts), so the table holds no deeds.
 *
 *     idle ──start──▶ connecting ──opened──▶ open ──probe──▶ connecting
 *                       ▲   │ lost             │ lost
 *                 timer │   ▼                  ▼
 *                      waiting ◀───────────────┘        any ──done · refused · exhausted · close──▶ closed
 *
 * Invariants; the walks of stream-state.test.ts check each after every step, `type` says that the compiler does too.
 *  1. Total: every state answers every input (type: a row of GRID is a tuple of five).
 *  2. `closed` is final: it answers every input with itself (the last column of GRID).
 *  3. Only `waiting` has a next attempt; a new `connecting` is a new attempt, and nothing that happens in it makes another but a refresh.
 *  4. `failures` falls only on `event` and `healthy`, never on `opened`: a server that accepts and closes makes no hot loop.
 *  5. At most `maxRetries` failures are followed by another attempt; the next one closes with `retries-exhausted`.
 *  6. A refusal and exhaustion close with a `loss`, which is told as a terminal error; done, closed and aborted close without.
 *  7. No attempt starts before the floor the server named (`Retry-After`, `drain`), also not when woken.
 *  8. A wait is at most the cap, or the floor and one base.
 *  9. An end after `drain` is no failure: `failures` stays, the wait is what `drain` said.
 * 10. After `drain`, and until a stream has opened, up to ten losses are no failures: each waits at most one base (or the floor and one base).
 * 11. The transport changes only where stepping down is allowed; to polls only after two mute attempts in a row, and to stay only after
 *     an answer that was mute behind its head, or after polls were answered where streams had given nothing (see transport-choice.ts).
 */
import { backoffDelayMs } from "./backoff.js";
import type { Problem } from "./problem.js";
import { chooseTransport, PROBED, type TransportChoice } from "./transport-choice.js";

/** Why an attempt or a stream was lost; each is followed by a retry. */
export type LossReason =
  | "ended"
  | "network"
  | "connect-timeout"
  /** An answer came, but no byte of its body in time. */
  | "mute"
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
  /** From polls, whether a stream comes through again. */
  | "probe"
  | "opened"
  | "healthy"
  | "drain"
  | "wake"
  | LossReason
  | CloseReason;

/** What came instead of a stream: the HTTP status where there was an answer, and its problem document. */
export interface Loss {
  readonly status: number | null;
  readonly problem: Problem | null;
}

export type StreamStateKind = "idle" | "connecting" | "open" | "waiting" | "closed";

export interface StreamState extends TransportChoice {
  readonly kind: StreamStateKind;
  readonly reason: StateReason;
  /** Of `waiting` and `closed`: what is told as an error; null for none. */
  readonly loss: Loss | null;
  /** Unix milliseconds; null unless `waiting`. */
  readonly nextAttemptAtMs: number | null;
  /** Waking may shorten the wait down to this. */
  readonly notBeforeMs: number;
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

export interface LostInput extends Loss {
  readonly kind: "lost";
  readonly reason: LossReason;
  /** `Retry-After`; 0 for none. */
  readonly retryAfterMs: number;
}

export interface RefusedInput extends Loss {
  readonly kind: "refused";
  readonly status: number;
}

export type StreamInput =
  | { readonly kind: "start" | "opened" | "timer" }
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
  /** Polls have gone on for as long as they were to. */
  | { readonly kind: "probe" }
  /** The network is back, the page is shown: look at once, spread over so many milliseconds. */
  | { readonly kind: "wake"; readonly jitterMs: number }
  | { readonly kind: "close"; readonly reason: "closed" | "aborted" };

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
  /** Whether polls may stand in for a stream that is held back. */
  readonly canStepDown: boolean;
}

/** `mute` and `pollUntilMs` as remembered of earlier streams. */
export function initialState(choice: TransportChoice): StreamState {
  return {
    ...choice,
    kind: "idle",
    reason: "new",
    loss: null,
    nextAttemptAtMs: null,
    notBeforeMs: 0,
    failures: 0,
    retryMs: null,
    retryBeforeMs: null,
    drainInMs: null,
    graceLeft: 0,
    refreshed: false,
  };
}

// About five seconds at the base of one that the server sends: a restart. Longer, and it is an outage like any other.
const ATTEMPTS_AFTER_DRAIN = 10;

type InputOf<K extends StreamInput["kind"]> = Extract<StreamInput, { kind: K }>;
type Cell<K extends StreamInput["kind"]> = (
  state: StreamState,
  input: InputOf<K>,
  context: StepContext,
) => StreamState;

const stay = (state: StreamState): StreamState => state;

const begin = (state: StreamState, { kind }: InputOf<"start" | "timer">): StreamState => ({
  ...state,
  kind: "connecting",
  reason: kind,
  loss: null,
  nextAttemptAtMs: null,
});

const open = (state: StreamState): StreamState => ({
  ...state,
  kind: "open",
  reason: "opened",
  drainInMs: null,
  graceLeft: 0,
});

/** Told, so that "attempt 3" does not stand on a page for as long as all is well. */
const settle = (state: StreamState): StreamState =>
  state.failures === 0 && !state.refreshed
    ? state
    : { ...state, reason: "healthy", failures: 0, refreshed: false };

const learn = (state: StreamState, { retryMs }: InputOf<"retry">): StreamState => ({
  ...state,
  retryMs,
  retryBeforeMs: state.retryMs,
});

const drain = (state: StreamState, { reconnectInMs }: InputOf<"drain">): StreamState => ({
  ...state,
  // The drain's own `retry:` came just before; kept, it would slow every later backoff.
  retryMs: state.retryMs === reconnectInMs ? state.retryBeforeMs : state.retryMs,
  drainInMs: reconnectInMs,
});

const probe = (state: StreamState): StreamState => ({
  ...state,
  ...PROBED,
  kind: "connecting",
  reason: "probe",
});

function lose(state: StreamState, input: InputOf<"lost">, context: StepContext): StreamState {
  const { reason, status, problem, retryAfterMs } = input;
  const { nowMs } = context;
  const wait = (fields: Partial<StreamState>, delayMs: number, floorMs: number): StreamState => ({
    ...state,
    ...fields,
    kind: "waiting",
    nextAttemptAtMs: nowMs + delayMs,
    notBeforeMs: nowMs + floorMs,
  });
  const { drainInMs, graceLeft } = state;
  if (drainInMs !== null) {
    return wait({ reason: "drain", drainInMs: null, graceLeft: ATTEMPTS_AFTER_DRAIN }, drainInMs, drainInMs);
  }
  const loss = { status, problem };
  // Doubling would keep those who came too early away long after a server that is only restarting has come back.
  const failures = graceLeft > 0 ? state.failures : state.failures + 1;
  if (failures > context.maxRetries) return { ...close(state, "retries-exhausted"), failures, loss };
  const delayMs = backoffDelayMs({
    baseMs: state.retryMs ?? context.retryDelayMs,
    failures: graceLeft > 0 ? 1 : failures,
    floorMs: retryAfterMs,
    random: context.random,
    capMs: context.backoffCapMs,
  });
  const choice = context.canStepDown ? chooseTransport(state, reason, nowMs) : {};
  return wait(
    { ...choice, reason, loss, failures, graceLeft: Math.max(0, graceLeft - 1) },
    delayMs,
    retryAfterMs,
  );
}

function refuse(state: StreamState, input: InputOf<"refused">, { canRefresh }: StepContext): StreamState {
  const { status, problem } = input;
  return status === 401 && canRefresh && !state.refreshed
    ? { ...state, kind: "connecting", reason: "refresh", refreshed: true }
    : { ...close(state, "refused"), loss: { status, problem } };
}

function look(
  state: StreamState,
  { jitterMs }: InputOf<"wake">,
  { nowMs, random }: StepContext,
): StreamState {
  const nextAttemptAtMs = Math.max(state.notBeforeMs, nowMs + Math.round(random * jitterMs));
  return state.nextAttemptAtMs !== null && nextAttemptAtMs < state.nextAttemptAtMs
    ? { ...state, reason: "wake", nextAttemptAtMs }
    : state;
}

const close = (state: StreamState, reason: CloseReason): StreamState => ({
  ...state,
  kind: "closed",
  reason,
  loss: null,
  nextAttemptAtMs: null,
});
const finish = (state: StreamState): StreamState => close(state, "done");
const shut = (state: StreamState, { reason }: InputOf<"close">): StreamState => close(state, reason);

type Row<K extends StreamInput["kind"]> = readonly [
  idle: Cell<K>,
  connecting: Cell<K>,
  open: Cell<K>,
  waiting: Cell<K>,
  closed: Cell<K>,
];

const COLUMNS: readonly StreamStateKind[] = ["idle", "connecting", "open", "waiting", "closed"];

/**
 * `drain` and `retry:` in `connecting` can't happen: nothing is read before `opened`. They stay, as all that is late does.
 * `done` and `refused` in `open` come over polls, where one of many answers may say so.
 */
// oxfmt-ignore
const GRID: { readonly [K in StreamInput["kind"]]: Row<K> } = {
  //         idle   connecting  open     waiting  closed
  start:   [ begin, stay,       stay,    stay,    stay ],
  opened:  [ stay,  open,       stay,    stay,    stay ],
  done:    [ stay,  finish,     finish,  stay,    stay ],
  refused: [ stay,  refuse,     refuse,  stay,    stay ],
  lost:    [ stay,  lose,       lose,    stay,    stay ],
  event:   [ stay,  stay,       settle,  stay,    stay ],
  healthy: [ stay,  stay,       settle,  stay,    stay ],
  retry:   [ stay,  stay,       learn,   stay,    stay ],
  drain:   [ stay,  stay,       drain,   stay,    stay ],
  probe:   [ stay,  stay,       probe,   stay,    stay ],
  timer:   [ stay,  stay,       stay,    begin,   stay ],
  wake:    [ stay,  stay,       stay,    look,    stay ],
  close:   [ shut,  shut,       shut,    shut,    stay ],
};

export function step(state: StreamState, input: StreamInput, context: StepContext): StreamState {
  // The grid's type pairs every row with its input; TypeScript can't follow the pair through the look-up.
  const cell = GRID[input.kind][COLUMNS.indexOf(state.kind)] as Cell<StreamInput["kind"]>;
  return cell(state, input, context);
}
