import type { PollRequest } from "../tasks/streams.js";
import { invalidField, toShown } from "./field-error.js";

/** What the stream is of: its `rev` is a task's own, or a token for many. */
export type PollOf = "one" | "many";

const STANDARD_WAIT_S = 20;
// Below what proxies grant a silent response; nginx and most load balancers cut at 60 s.
const MAX_WAIT_S = 60;
const WAIT = /^\d{1,2}(\.\d{1,3})?$/;
const REV: { readonly [K in PollOf]: RegExp } = { one: /^\d{1,16}$/, many: /^[0-9a-f]{12}\.\d{1,16}$/ };

/** `?transport=poll&wait=&rev=`; undefined for a stream that stays. Throws INVALID_FIELD. [wire: poll] */
export function parsePoll(query: unknown, of: PollOf): PollRequest | undefined {
  const { transport, wait, rev } = query as { readonly [name: string]: unknown };
  if (transport !== undefined && transport !== "sse" && transport !== "poll") {
    throw invalidField("transport", `must be sse or poll: got ${toShown(transport)}`);
  }
  if (transport !== "poll") return undefined;
  return { waitMs: toWaitMs(wait), rev: toRev(rev, of) };
}

function toWaitMs(wait: unknown): number {
  if (wait === undefined) return STANDARD_WAIT_S * 1_000;
  const seconds = typeof wait === "string" && WAIT.test(wait) ? Number(wait) : Infinity;
  if (seconds > MAX_WAIT_S) {
    throw invalidField("wait", `must be 0 to ${MAX_WAIT_S} seconds: got ${toShown(wait)}`);
  }
  return seconds * 1_000;
}

function toRev(rev: unknown, of: PollOf): string | undefined {
  // None, as a client that has got none yet may write it.
  if (rev === undefined || rev === "") return undefined;
  if (typeof rev === "string" && REV[of].test(rev)) return rev;
  throw invalidField(
    "rev",
    `must be the rev of the last heartbeat of a poll of this stream: got ${toShown(rev)}`,
  );
}
