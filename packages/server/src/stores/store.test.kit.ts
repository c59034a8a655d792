/**
 * Commits as the suites of the stores make them.
 */
import { newTaskRow } from "../tasks/new-task.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { Commit, Committed, MilestoneDraft, Store } from "./store.js";

export interface StoreUnderTest {
  readonly store: Store;
  readonly now: { ms: number };
  release(): Promise<void>;
}

export function created(fields: Partial<TaskRow> = {}): Commit {
  const { row, milestones } = newTaskRow(
    {
      kind: "upload",
      filename: "a.bin",
      total: 10,
      unit: "bytes",
      metadata: {},
      batchId: null,
      processing: "none",
      maxAttempts: 1,
      blobKey: "00",
      tusMetadata: null,
      ...(fields.id !== undefined && { id: fields.id }),
    },
    1_000,
  );
  return { row: { ...row, ...fields }, expectedVersion: 0, milestones };
}

export function change(row: TaskRow, ...events: string[]): Commit {
  const milestones = events.map((event): MilestoneDraft => ({
    event,
    data: "{}",
    ending: event === "complete",
  }));
  return { row: { ...row, version: row.version + 1 }, expectedVersion: row.version, milestones };
}

export async function commit(store: Store, one: Commit): Promise<Committed> {
  const result = await store.commit(one);
  if (result.kind !== "committed") throw new Error(`expected a commit: got ${result.kind}`);
  return result;
}
