/**
 * Ids of tasks and batches. An id is safe in a path, a header, a file name and an HTML attribute,
 * so nothing behind the door ever has to escape one.
 */

declare const brand: unique symbol;

/** `[A-Za-z0-9_-]{1,64}`. An upload's id is its task's id. */
export type TaskId = string & { readonly [brand]: "TaskId" };

/** `[A-Za-z0-9_-]{1,64}`. */
export type BatchId = string & { readonly [brand]: "BatchId" };

const ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Returns the id, or undefined when the text is not one. */
export function parseTaskId(text: unknown): TaskId | undefined {
  return typeof text === "string" && ID.test(text) ? (text as TaskId) : undefined;
}

/** Returns the id, or undefined when the text is not one. */
export function parseBatchId(text: unknown): BatchId | undefined {
  return typeof text === "string" && ID.test(text) ? (text as BatchId) : undefined;
}
