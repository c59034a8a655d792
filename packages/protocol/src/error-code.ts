/**
 * The closed set of error codes and the status each is answered with. `docs/errors.md` lists the same codes;
 * a test keeps both equal.
 */

/** Codes of problem documents (RFC 9457), code → HTTP status. */
export const ERROR_STATUS = {
  INVALID_REQUEST: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  ORIGIN_REFUSED: 403,
  ROUTE_NOT_FOUND: 404,
  TASK_NOT_FOUND: 404,
  BATCH_NOT_FOUND: 404,
  CONTENT_NOT_READY: 409,
  METHOD_NOT_ALLOWED: 405,
  NOT_ACCEPTABLE: 406,
  REQUEST_TIMEOUT: 408,
  ID_TAKEN: 409,
  BATCH_CLOSED: 409,
  TASK_ENDED: 409,
  STALE_ATTEMPT: 409,
  OFFSET_MISMATCH: 409,
  UPLOAD_COMPLETE: 409,
  IDEMPOTENCY_CONFLICT: 409,
  CONTENT_GONE: 410,
  TASK_EXPIRED: 410,
  UPLOAD_GONE: 410,
  TUS_VERSION: 412,
  UPLOAD_TOO_LARGE: 413,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  EXPECTATION_FAILED: 417,
  INVALID_FIELD: 422,
  UPLOAD_LOCKED: 423,
  TOO_MANY_REQUESTS: 429,
  HEADERS_TOO_LARGE: 431,
  INTERNAL: 500,
  TRANSFER_CODING: 501,
  TUS_EXTENSION: 501,
  DRAINING: 503,
  STORE_UNAVAILABLE: 503,
  HTTP_1_1_REQUIRED: 505,
  INSUFFICIENT_STORAGE: 507,
} as const;

export type ErrorCode = keyof typeof ERROR_STATUS;

/**
 * Codes in the `error` of a failed task that the server itself gives; a producer's own codes stand beside them.
 * UPLOAD_INCOMPLETE: a one-shot body was cut. UPLOAD_EXPIRED: no byte for `upload-expiry`. PRODUCER_LOST: nobody reported in time.
 * UPLOAD_TOO_LARGE: a one-shot body of unknown length passed the bound. UPLOAD_DAMAGED: stored bytes are fewer than were confirmed.
 * STORAGE_FAILED: a one-shot body could not be stored.
 */
export const TASK_ERROR_CODES = [
  "UPLOAD_INCOMPLETE",
  "UPLOAD_EXPIRED",
  "UPLOAD_TOO_LARGE",
  "UPLOAD_DAMAGED",
  "STORAGE_FAILED",
  "PRODUCER_LOST",
] as const;

export type TaskErrorCode = (typeof TASK_ERROR_CODES)[number];

/** An RFC 9457 problem document as this API sends it. `field` and `bound` where they apply. */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  /** What was refused, got, bound and fix. */
  readonly detail: string;
  /** JSON pointer or header name of what was refused. */
  readonly field?: string;
}
