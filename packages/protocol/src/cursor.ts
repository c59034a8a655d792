/**
 * A cursor names one milestone of one store: `<store epoch>-<unix ms>-<sequence>`.
 *
 * Clients treat it as opaque and give it back as `Last-Event-ID`. A server compares cursors of its own
 * epoch by sequence, which never repeats and never goes back, also not after a crash.
 */

declare const brand: unique symbol;

/** `<epoch>-<unix ms>-<sequence>`; epoch is `[a-z0-9]{1,16}`. */
export type Cursor = string & { readonly [brand]: "Cursor" };

/** A cursor taken apart. */
export interface CursorParts {
  readonly epoch: string;
  readonly ms: number;
  readonly sequence: number;
}

// 15 digits stay below 2^53, so both numbers are exact.
const CURSOR = /^([a-z0-9]{1,16})-(\d{1,15})-(\d{1,15})$/;

export function formatCursor(parts: CursorParts): Cursor {
  return `${parts.epoch}-${parts.ms}-${parts.sequence}` as Cursor;
}

/** Returns the parts, or undefined when the text is no cursor of any store. */
export function parseCursor(text: string): CursorParts | undefined {
  const match = CURSOR.exec(text);
  if (match === null) return undefined;
  const [, epoch = "", ms = "", sequence = ""] = match;
  return { epoch, ms: Number(ms), sequence: Number(sequence) };
}
