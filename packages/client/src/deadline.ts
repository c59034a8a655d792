import { HoldfastClientError } from "./client-error.js";
import type { Environment } from "./environment.js";

export interface Deadline {
  readonly environment: Environment;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** For the message: `connecting to …`. */
  readonly what: string;
}

/**
 * Settles with `work`, or rejects with TIMEOUT at the deadline and ABORTED on the signal, whichever is first.
 *
 * A signal handed to fetch is not enough: Node 20's fetch never settles when the peer closes right after accepting, aborted or
 * not. The abandoned promise is left behind; what it may still bring is the caller's to throw away.
 */
export function withDeadline<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const { environment, deadlineMs, signal, what } = deadline;
  return new Promise<T>((resolve, reject) => {
    const release = (): void => {
      cancel();
      signal.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      release();
      reject(new HoldfastClientError("ABORTED", `aborted while ${what}`, { cause: signal.reason }));
    };
    const cancel = environment.setTimer(() => {
      release();
      reject(new HoldfastClientError("TIMEOUT", `no answer within ${deadlineMs} ms while ${what}`));
    }, deadlineMs);
    signal.addEventListener("abort", onAbort);
    work.finally(release).then(resolve, reject);
    if (signal.aborted) onAbort();
  });
}
