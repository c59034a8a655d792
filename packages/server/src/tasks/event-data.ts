/**
 * What producers may put into an event, whoever carries it: HTTP, or a call of the host's own code.
 */
import type { Json } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";

/** Bytes of JSON of one event's data: it is stored, and sent to every watcher. */
export const MAX_EVENT_BYTES = 65_536;

/**
 * A value of the host's as the JSON that is sent: a copy, so that what the host does to its object afterwards changes nothing. What JSON
 * leaves out (undefined, functions) is left out. Throws INVALID_FIELD for what JSON can't say, and beyond the bound.
 */
export function toEventData(value: unknown, field: string): Json {
  let text: string;
  try {
    text = JSON.stringify(value) ?? "null";
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new HoldfastError("INVALID_FIELD", `${field} must be JSON: ${reason}`, { field, cause });
  }
  assertEventBytes(Buffer.byteLength(text), field);
  return JSON.parse(text) as Json;
}

/** Throws INVALID_FIELD. */
export function assertEventBytes(bytes: number, field: string): void {
  if (bytes <= MAX_EVENT_BYTES) return;
  throw new HoldfastError(
    "INVALID_FIELD",
    `${field} must not exceed ${MAX_EVENT_BYTES} bytes of JSON: got ${bytes}; store it elsewhere and send a link`,
    { field },
  );
}
