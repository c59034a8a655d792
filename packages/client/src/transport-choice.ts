/**
 * Which transport the next attempt takes, where a server of ours may be asked by stream or by poll.
 *
 * Some proxies hold a response back until it ends; a stream does not end. What they look like from here is an attempt that is *mute*: not
 * a byte in time, neither behind a head (`mute`) nor in place of one (`connect-timeout`). An outage looks like the latter too, so
 *  - any byte or clear failure over a stream sets the count back: drops, however short, never step down;
 *  - two mute attempts in a row, the last with a head, are proof: polls for as long as is remembered, then one probe;
 *  - two without a head are a suspicion: one poll is asked. Only if it is answered, and a stream then gives nothing again, it is proof.
 */
import type { LossReason } from "./stream-state.js";

/** How a stream comes: one response that stays, or a response for whatever is new. */
export type StreamTransport = "sse" | "poll";

export interface TransportChoice {
  readonly transport: StreamTransport;
  /** Attempts by stream in a row that brought not a byte. */
  readonly mute: number;
  /** Unix milliseconds until which polls stand in; past it the next whole answer is followed by a probe. */
  readonly pollUntilMs: number;
}

const MUTE_UNTIL_SUSPECTED = 2;

/** How long polls stand in before a stream is tried again: a laptop carried home should not poll for the evening. */
export const POLL_FOR_MS = 900_000;

/** A poll has been answered: one more mute attempt is proof. */
export const PROBED: Pick<TransportChoice, "transport" | "mute"> = {
  transport: "sse",
  mute: MUTE_UNTIL_SUSPECTED,
};

export function chooseTransport(
  { transport, mute, pollUntilMs }: TransportChoice,
  reason: LossReason,
  nowMs: number,
): Partial<TransportChoice> {
  // Polls that fail too say nothing against streams, unless that was proven before.
  if (transport === "poll") return nowMs < pollUntilMs ? {} : { transport: "sse", mute: 1 };
  if (reason !== "mute" && reason !== "connect-timeout") return { mute: 0 };
  const attempts = mute + 1;
  if (attempts < MUTE_UNTIL_SUSPECTED) return { mute: attempts };
  const proven = reason === "mute" || attempts > MUTE_UNTIL_SUSPECTED;
  return { transport: "poll", mute: attempts, pollUntilMs: proven ? nowMs + POLL_FOR_MS : nowMs };
}
