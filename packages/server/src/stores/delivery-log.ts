/**
 * Which connections were sent the ending of a task, as it is kept: bounded, newest first. The same in every embedded store.
 */
import type { TaskId } from "@holdfast/protocol";
import type { CloseReason } from "@holdfast/stream";

/** One connection's share in telling an ending. No address and no token: whoever reads this need not know who watched. */
export interface Delivery {
  /** Also in the log lines of the connection. */
  readonly connectionId: string;
  readonly transport: "sse" | "poll";
  /** `sent`: the ending was written on it. `acknowledged`: it came with a cursor at or past the ending, so its client had heard it before. */
  readonly outcome: "sent" | "acknowledged";
  readonly openedAtMs: number;
  /** Null where nothing was sent. */
  readonly sentAtMs: number | null;
  /** Null while it is open, and when the server died with it. */
  readonly closedAtMs: number | null;
  /** Whether the kernel had taken the ending before the connection closed; null while that is not known. */
  readonly flushed: boolean | null;
  /** Why it closed; null where `closedAtMs` is, and where nothing was sent. */
  readonly reason: CloseReason | null;
}

export interface DeliveryLog {
  /** Connections that were sent the ending, those that are no longer listed among them. */
  readonly sent: number;
  readonly acknowledged: number;
  /** The newest 100 of each outcome, newest first. */
  readonly items: readonly Delivery[];
}

export interface DeliveryEntry {
  readonly taskId: TaskId;
  readonly delivery: Delivery;
  /** It has not been recorded before; else it replaces what was, unless that is no longer listed. */
  readonly isNew: boolean;
}

export const NO_DELIVERIES: DeliveryLog = { sent: 0, acknowledged: 0, items: [] };

// 20 KB a task at most. Who acknowledges again and again pushes out only those who acknowledged.
const MAX_ITEMS = 100;

export function mergeDeliveries(log: DeliveryLog, entries: readonly DeliveryEntry[]): DeliveryLog {
  const counts = { sent: log.sent, acknowledged: log.acknowledged };
  const byConnection = new Map(log.items.toReversed().map((item) => [item.connectionId, item]));
  for (const { delivery, isNew } of entries) {
    if (isNew) counts[delivery.outcome] += 1;
    else if (!byConnection.has(delivery.connectionId)) continue;
    byConnection.set(delivery.connectionId, delivery);
  }
  const left = { sent: MAX_ITEMS, acknowledged: MAX_ITEMS };
  const items = [...byConnection.values()].toReversed().filter(({ outcome }) => {
    left[outcome] -= 1;
    return left[outcome] >= 0;
  });
  return { ...counts, items };
}
