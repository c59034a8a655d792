/**
 * What was learned about the way to an origin, for the next stream and the next page: until when polls stand in for streams. Kept in
 * localStorage where there is one, so that ten tabs learn it once; else as long as the process lives.
 */
const KEY = "holdfast.poll ";
const remembered = new Map<string, number>();

/** Unix milliseconds; 0 for nothing known. One further ahead than `longestMs` was written by a clock that has been set back. */
export function recallPollUntil(origin: string, nowMs: number, longestMs: number): number {
  let untilMs = remembered.get(origin) ?? 0;
  try {
    untilMs = Math.max(untilMs, Number(localStorage.getItem(KEY + origin)));
  } catch {
    // No storage here, or the page may not use it.
  }
  return untilMs > nowMs && untilMs <= nowMs + longestMs ? untilMs : 0;
}

export function rememberPollUntil(origin: string, untilMs: number): void {
  remembered.set(origin, untilMs);
  try {
    localStorage.setItem(KEY + origin, String(untilMs));
  } catch {
    // As above, or it is full: this process still knows.
  }
}
