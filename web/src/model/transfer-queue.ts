/**
 * Who may send and who waits, as plain data. A browser opens six HTTP/1.1 connections to a host: one carries the stream, some must
 * stay free for the page itself, so three are left for files.
 */
const MAX_RUNNING = 3;

export interface TransferQueue {
  readonly running: readonly string[];
  /** First in, first out. */
  readonly waiting: readonly string[];
}

export const EMPTY_QUEUE: TransferQueue = { running: [], waiting: [] };

/** `first`: whoever was paused by hand and resumed goes before those that never began. No-op for a key that is in already. */
export function enqueue(queue: TransferQueue, key: string, first = false): TransferQueue {
  if (queue.running.includes(key) || queue.waiting.includes(key)) return queue;
  return { ...queue, waiting: first ? [key, ...queue.waiting] : [...queue.waiting, key] };
}

/** Ended, paused or given up: its place is free. */
export function leave(queue: TransferQueue, key: string): TransferQueue {
  return {
    running: queue.running.filter((other) => other !== key),
    waiting: queue.waiting.filter((other) => other !== key),
  };
}

/** Fills the free places; `started` are to be set going now. */
export function admit(
  queue: TransferQueue,
  maxRunning: number = MAX_RUNNING,
): { readonly queue: TransferQueue; readonly started: readonly string[] } {
  const free = Math.max(0, maxRunning - queue.running.length);
  const started = queue.waiting.slice(0, free);
  return {
    queue: { running: [...queue.running, ...started], waiting: queue.waiting.slice(free) },
    started,
  };
}
