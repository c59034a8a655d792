import type { Problem } from "./problem.js";

/**
 * The closed set of codes. `HTTP_STATUS` carries `status` and, where the server sent one, its problem document, whose own
 * `code` is the finer one (`TASK_NOT_FOUND`, `TASK_EXPIRED`, …).
 */
export type ClientErrorCode =
  | "UNKNOWN_OPTION"
  | "INVALID_OPTION"
  | "HTTP_STATUS"
  | "NETWORK"
  | "TIMEOUT"
  | "BAD_RESPONSE"
  | "RETRIES_EXHAUSTED"
  | "UNREADABLE_FILE"
  | "TASK_FAILED"
  | "CANCELLED"
  | "CLOSED"
  | "ABORTED";

export interface ClientErrorExtras {
  readonly status?: number | undefined;
  readonly problem?: Problem | undefined;
  readonly cause?: unknown;
}

/** The one error class of this package. */
export class HoldfastClientError extends Error {
  override readonly name = "HoldfastClientError";
  readonly code: ClientErrorCode;
  /** HTTP status of the answer that caused it. */
  readonly status: number | undefined;
  /** What the server said, where it said it as RFC 9457. */
  readonly problem: Problem | undefined;

  constructor(code: ClientErrorCode, message: string, extras: ClientErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.code = code;
    this.status = extras.status;
    this.problem = extras.problem;
  }
}
