import type { Formatters } from "../model/formatters.js";
import type { RowView } from "../model/row-view.js";
import type { Words } from "../words/words.js";

/** `412 MB of 1.07 GB`; a producer's own unit is named as it came. Null where it would say nothing. */
function describeAmount(row: RowView, words: Words, formatters: Formatters): string | null {
  const { unit, stored, total } = row;
  // "0 of 5 MB" of what has not begun, or has failed before it began, is no news.
  const begun = stored > 0 || !UNTOUCHED.has(row.status);
  const whole = row.status === "completed" || !begun;
  if (unit !== "bytes") {
    const count = formatters.count(whole ? (total ?? stored) : stored);
    if (whole || total === null) return begun || total !== null ? `${count} ${unit}` : null;
    return `${words.storedOf(count, formatters.count(total))} ${unit}`;
  }
  if (whole) return total === null && !begun ? null : formatters.bytes(total ?? stored);
  return total === null
    ? words.stored(formatters.bytes(stored))
    : words.storedOf(formatters.bytes(stored), formatters.bytes(total));
}

const UNTOUCHED: ReadonlySet<string> = new Set(["queued", "failed", "cancelled"]);

/** The state in words, with the stage or the countdown where there is one. */
export function describeState(row: RowView, nowMs: number, words: Words, formatters: Formatters): string {
  if (row.stage !== null) return words.stage(row.stage);
  if (row.retryAtMs === null) return words.status[row.status];
  const seconds = Math.max(1, Math.ceil((row.retryAtMs - nowMs) / 1000));
  return words.retryIn(formatters.duration(seconds));
}

/** What follows the state: amount, speed, time left, attempt. */
export function describeFigures(row: RowView, words: Words, formatters: Formatters): readonly string[] {
  const amount = describeAmount(row, words, formatters);
  const figures = amount === null ? [] : [amount];
  if (row.speed > 0 && row.unit === "bytes") figures.push(formatters.bytesPerSecond(row.speed));
  if (row.etaSeconds !== null && row.etaSeconds > 0)
    figures.push(words.left(formatters.duration(row.etaSeconds)));
  if (row.attempt > 1) figures.push(words.attempt(row.attempt));
  return figures;
}

/** What went wrong and what helps; the server's own sentence where no words of ours fit. */
export function describeFailure({ failure, status }: RowView, words: Words): string | null {
  if (failure === null) return status === "needs-file" ? words.needsFile : null;
  const { kind } = failure;
  const said = kind === "other" || kind === "final" ? failure.message : words.failure[kind];
  return `${said} ${words.advice[kind]}`;
}
