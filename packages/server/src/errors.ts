/**
 * The one error class of this package. Every refusal has a code of the closed set in @holdfast/protocol; the door
 * turns it into a problem document and anything else into INTERNAL.
 */
import { ERROR_STATUS, type ErrorCode } from "@holdfast/protocol";

export interface ErrorExtras {
  /** JSON pointer (`/total`) or header name of what was refused. */
  readonly field?: string;
  /** Seconds; sent as `Retry-After`. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  readonly code: ErrorCode;
  readonly status: number;
  readonly field: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  /** `message` says what was refused, got, bound and fix; clients read it. */
  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, { cause: extras.cause });
    this.code = code;
    this.status = ERROR_STATUS[code];
    this.field = extras.field;
    this.retryAfterSeconds = extras.retryAfterSeconds;
  }
}
