import { parseCursor } from "@holdfast/protocol";

/** Whether the one is a later milestone than the other; true for what can't be compared, such as cursors of two stores. */
export function isLater(cursor: string, than: string): boolean {
  const a = parseCursor(cursor);
  const b = parseCursor(than);
  return a === undefined || b === undefined || a.epoch !== b.epoch || a.sequence > b.sequence;
}

export function isSameStore(cursor: string, other: string): boolean {
  return parseCursor(cursor)?.epoch === parseCursor(other)?.epoch;
}

/** The one to resume from so that nothing is missed after either; empty stands for none. Of two stores, the one that is in use later. */
export function olderOf(a: string, b: string): string {
  const one = parseCursor(a);
  const other = parseCursor(b);
  if (one === undefined) return b;
  if (other === undefined) return a;
  if (one.epoch !== other.epoch) return one.ms > other.ms ? a : b;
  return one.sequence < other.sequence ? a : b;
}
