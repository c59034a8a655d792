/** The longest wait between two attempts, unless the server asks for more by `Retry-After`. */
export const BACKOFF_CAP_MS = 30_000;

// A date far ahead is a wrong clock more often than a wish; and a timer above 2^31 ms fires at once.
const MAX_RETRY_AFTER_MS = 3_600_000;

export interface BackoffInput {
  /** The server's `retry:`, else the option. */
  readonly baseMs: number;
  /** Consecutive failures, this one included; at least 1. */
  readonly failures: number;
  /** `Retry-After`; 0 for none. */
  readonly floorMs: number;
  /** 0 ≤ x < 1. */
  readonly random: number;
  /** Of the ceiling; BACKOFF_CAP_MS unless given, and never above it. A base above it is not shortened. */
  readonly capMs?: number;
}

/**
 * Full jitter: evenly spread between the floor and the ceiling, which is the base for the first two waits and then doubles, capped. Doubled
 * at once, half of those that meet a two-second restart would still be away a second after it (reconnect.test.ts). A floor above the
 * ceiling is spread over one base more, else every client told the same `Retry-After` would come back in the same millisecond.
 */
export function backoffDelayMs(input: BackoffInput): number {
  const { baseMs, failures, floorMs, random, capMs = BACKOFF_CAP_MS } = input;
  const base = Math.min(baseMs, BACKOFF_CAP_MS);
  const cap = Math.min(BACKOFF_CAP_MS, Math.max(base, capMs));
  // 2^15 ms is above the cap for any base; unbounded, a base of 0 would meet Infinity and give NaN.
  const ceiling = Math.min(cap, base * 2 ** Math.min(Math.max(failures - 2, 0), 15));
  const top = floorMs === 0 ? ceiling : Math.max(ceiling, floorMs + base);
  return Math.round(floorMs + random * (top - floorMs));
}

/** `Retry-After` in seconds or as an HTTP date → milliseconds from now, 0 when absent or unreadable, at most an hour. */
export function parseRetryAfterMs(header: string | null, nowMs: number): number {
  if (header === null) return 0;
  const text = header.trim();
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS) : 0;
}
