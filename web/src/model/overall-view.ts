import { isEnded, type RowView } from "./row-view.js";

/** All rows in one bar. Failed and cancelled ones will bring nothing more, so they are counted but not measured. */
export interface OverallView {
  readonly files: number;
  readonly completed: number;
  readonly failed: number;
  readonly ended: number;
  readonly storedBytes: number;
  readonly totalBytes: number;
  /** Floored, at most 99 until every row has ended; null with nothing to measure. */
  readonly percentage: number | null;
  readonly sentPercentage: number | null;
  readonly bytesPerSecond: number;
  readonly etaSeconds: number | null;
  readonly kind: "empty" | "moving" | "resting" | "done";
}

export function toOverallView(rows: readonly RowView[]): OverallView {
  const measured = rows.filter(
    ({ status, unit }) => unit === "bytes" && status !== "failed" && status !== "cancelled",
  );
  const ended = rows.filter(isEnded).length;
  const storedBytes = sum(measured, ({ stored }) => stored);
  const totalBytes = sum(measured, ({ total, stored }) => total ?? stored);
  const sentBytes = sum(measured, (row) => toSentBytes(row));
  const active = measured.filter(({ speed }) => speed > 0);
  const bytesPerSecond = sum(active, ({ speed }) => speed);
  const leftBytes = totalBytes - storedBytes;
  const moving = rows.some(({ status }) => MOVING.has(status));
  const done = rows.length > 0 && ended === rows.length;
  return {
    files: rows.length,
    completed: rows.filter(({ status }) => status === "completed").length,
    failed: rows.filter(({ status }) => status === "failed").length,
    ended,
    storedBytes,
    totalBytes,
    percentage: measured.length === 0 ? toMean(rows, done) : toPercentage(storedBytes, totalBytes, done),
    sentPercentage: measured.length === 0 ? null : toPercentage(sentBytes, totalBytes, done),
    bytesPerSecond,
    etaSeconds: moving && leftBytes > 0 && bytesPerSecond > 0 ? leftBytes / bytesPerSecond : null,
    kind: rows.length === 0 ? "empty" : done ? "done" : moving ? "moving" : "resting",
  };
}

const MOVING: ReadonlySet<string> = new Set(["starting", "uploading", "processing", "elsewhere"]);

function toSentBytes({ sentPercentage, stored, total }: RowView): number {
  return sentPercentage === null || total === null ? stored : (sentPercentage / 100) * total;
}

function toPercentage(part: number, whole: number, done: boolean): number {
  if (done) return 100;
  return whole === 0 ? 0 : Math.min(99, Math.floor((part / whole) * 100));
}

/** Tasks without bytes have no common measure: each counts alike. */
function toMean(rows: readonly RowView[], done: boolean): number | null {
  const known = rows.filter(
    ({ status, percentage }) => percentage !== null && status !== "failed" && status !== "cancelled",
  );
  if (known.length === 0) return null;
  return toPercentage(
    sum(known, ({ percentage }) => percentage ?? 0),
    known.length * 100,
    done,
  );
}

function sum(rows: readonly RowView[], measure: (row: RowView) => number): number {
  return rows.reduce((total, row) => total + measure(row), 0);
}
