/** Channels of the hub on which a task is told. */
import type { TaskRow } from "./task-row.js";

export function taskChannel(id: string): string {
  return `task:${id}`;
}

export function batchChannel(id: string): string {
  return `batch:${id}`;
}

/** Its own, and its batch's. */
export function channelsOf({ id, batchId }: TaskRow): readonly string[] {
  return batchId === null ? [taskChannel(id)] : [taskChannel(id), batchChannel(batchId)];
}
