import { isEnded, type RowView } from "./row-view.js";

/**
 * All rows in one bar. Cancelled ones are counted but not measured: nobody wants their bytes. Failed ones stay measured as far as they
 * came: without them the number would jump, and a list that lacks a file would call itself whole.
 */
export interface OverallView {
  readonly files: number;
  readonly completed: number;
  readonly failed: number;
  readonly ended: number;
  readonly storedBytes: number;
  readonly totalBytes: number;
  /** Floored, at most 99 until every row has ended and while one of them failed; null with nothing to measure. */
  readonly percentage: number | null;
  readonly sentPercentage: number | null;
  readonly bytesPerSecond: number;
  readonly etaSeconds: number | null;
  readonly kind: "empty" | "moving" | "resting" | "done";
}

export function toOverallView(rows: readonly RowView[]): OverallView {
  const measured = rows.filter(({ status, unit }) => unit === "bytes" && status !== "cancelled");
  const failed = rows.filter(({ status }) => status === "failed").length;
  const ended = rows.filter(isEnded).length;
  const storedBytes = sum(measured, ({ stored }) => stored);
  const totalBytes = sum(measured, ({ total, stored }) => total ?? stored);
  const sentBytes = sum(measured, (row) => toSentBytes(row));
  const active = measured.filter(({ speed }) => speed > 0);
  const bytesPerSecond = sum(active, ({ speed }) => speed);
  // What failed stays on the bar, but nobody waits for it.
  const awaited = measured.filter(({ status }) => status !== "failed");
  const leftBytes = sum(awaited, ({ total, stored }) => (total ?? stored) - stored);
  const moving = rows.some(({ status }) => MOVING.has(status));
  const done = rows.length > 0 && ended === rows.length;
  const whole = done && failed === 0;
  return {
    files: rows.length,
    completed: rows.filter(({ status }) => status === "completed").length,
    failed,
    ended,
    storedBytes,
    totalBytes,
    percentage: measured.length === 0 ? toMean(rows, whole) : toPercentage(storedBytes, totalBytes, whole),
    sentPercentage: measured.length === 0 ? null : toPercentage(sentBytes, totalBytes, whole),
    bytesPerSecond,
    etaSeconds: moving && leftBytes > 0 && bytesPerSecond > 0 ? leftBytes / bytesPerSecond : null,
    kind: rows.length === 0 ? "empty" : done ? "done" : moving ? "moving" : "resting",
  };
}

const MOVING: ReadonlySet<string> = new Set(["starting", "uploading", "processing", "elsewhere"]);

function toSentBytes({ sentPercentage, stored, total }: RowView): number {
  return sentPercentage === null || total === null ? stored : (sentPercentage / 100) * total;
}

function toPercentage(part: number, total: number, whole: boolean): number {
  if (whole) return 100;
  return total === 0 ? 0 : Math.min(99, Math.floor((part / total) * 100));
}

/** Tasks without bytes have no common measure: each counts alike. */
function toMean(rows: readonly RowView[], whole: boolean): number | null {
  const known = rows.filter(({ status, percentage }) => percentage !== null && status !== "cancelled");
  if (known.length === 0) return null;
  return toPercentage(
    sum(known, ({ percentage }) => percentage ?? 0),
    known.length * 100,
    whole,
  );
}

function sum(rows: readonly RowView[], measure: (row: RowView) => number): number {
  return rows.reduce((total, row) => total + measure(row), 0);
}
