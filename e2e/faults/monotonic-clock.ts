/** Milliseconds of the machine's monotonic clock: the same in all its processes, and unmoved when the time of day is set. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
