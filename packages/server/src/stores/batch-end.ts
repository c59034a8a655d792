/**
 * The milestone with which a batch ends: the same in every embedded store.
 */
import type { BatchCompleteData, BatchId, TaskStatus } from "@holdfast/protocol";
import type { BatchRow } from "../tasks/task-row.js";
import type { Mark, StoredMilestone } from "./store.js";

/** Ended tasks of the batch that the store holds. */
export type EndedCounts = {
  readonly [status in Extract<TaskStatus, "completed" | "failed" | "cancelled">]?: number;
};

/** The row of a batch that ends at `mark`, and what is told of it. */
export function endBatch(
  row: BatchRow,
  { completed = 0, failed = 0, cancelled = 0 }: EndedCounts,
  at: { readonly before: Mark; readonly mark: Mark; readonly nowMs: number },
): { readonly row: BatchRow; readonly milestone: StoredMilestone } {
  const { before, mark } = at;
  const data: BatchCompleteData = {
    batchId: row.id,
    tasks: completed + failed + cancelled,
    completed,
    failed,
    cancelled,
    timestamp: Math.floor(at.nowMs / 1_000),
  };
  return {
    row: { ...row, end: { before, mark } },
    milestone: { taskId: null, event: "batchComplete", data: JSON.stringify(data), ending: true, ...mark },
  };
}

/** What owns the milestones of a batch beside its tasks: no task has such an id. */
export function batchOwner(id: BatchId): string {
  return `:${id}`;
}
