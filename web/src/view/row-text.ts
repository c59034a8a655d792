import type { Formatters } from "../model/formatters.js";
import type { RowView } from "../model/row-view.js";
import type { Words } from "../words/words.js";

/** `412 MB of 1.07 GB`; a producer's own unit is named as it came. */
function describeAmount(
  { status, unit, stored, total }: RowView,
  words: Words,
  formatters: Formatters,
): string {
  const write = (count: number): string =>
    unit === "bytes" ? formatters.bytes(count) : `${formatters.count(count)} ${unit}`;
  // "0 of 5 MB" of what has not begun, or has failed before it began, is no news.
  const untouched =
    stored === 0 && total !== null && (status === "queued" || status === "failed" || status === "cancelled");
  if (status === "completed" || untouched) return write(total ?? stored);
  return total === null ? words.stored(write(stored)) : words.storedOf(write(stored), write(total));
}

/** The state in words, with the stage or the countdown where there is one. */
export function describeState(row: RowView, nowMs: number, words: Words, formatters: Formatters): string {
  if (row.stage !== null) return words.stage(row.stage);
  if (row.retryAtMs === null) return words.status[row.status];
  const seconds = Math.max(1, Math.ceil((row.retryAtMs - nowMs) / 1000));
  return words.retryIn(formatters.duration(seconds));
}

/** What follows the state: amount, speed, time left, attempt. */
export function describeFigures(row: RowView, words: Words, formatters: Formatters): readonly string[] {
  const figures = [describeAmount(row, words, formatters)];
  if (row.speed > 0 && row.unit === "bytes") figures.push(formatters.bytesPerSecond(row.speed));
  if (row.etaSeconds !== null && row.etaSeconds > 0)
    figures.push(words.left(formatters.duration(row.etaSeconds)));
  if (row.attempt > 1) figures.push(words.attempt(row.attempt));
  return figures;
}

/** What went wrong and what helps; the server's own sentence where no words of ours fit. */
export function describeFailure({ failure, status }: RowView, words: Words): string | null {
  if (failure === null) return status === "needs-file" ? words.needsFile : null;
  const said = failure.kind === "other" ? failure.message : words.failure[failure.kind];
  return `${said} ${words.advice[failure.kind]}`;
}
