import { HoldfastError } from "../errors.js";
import type { IdempotencyKey, IdempotencyRecord } from "../stores/store.js";
import type { TaskRow } from "./task-row.js";

export interface Applied {
  /** As it is now. */
  readonly row: TaskRow;
  /** What the same request left when it was applied before; nothing has changed this time. */
  readonly before?: IdempotencyRecord;
}

/** What the first request of that key left. Throws IDEMPOTENCY_CONFLICT when that was another request. */
export function assertRepeated(before: IdempotencyRecord, asked: IdempotencyKey): IdempotencyRecord {
  if (before.fingerprint === asked.fingerprint) return before;
  throw new HoldfastError(
    "IDEMPOTENCY_CONFLICT",
    "the Idempotency-Key was used for another request to this task; draw a new key for a new request",
    { field: "Idempotency-Key" },
  );
}
