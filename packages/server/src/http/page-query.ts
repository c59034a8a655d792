import { parseBatchId, parseTaskId, type TaskStatus } from "@holdfast/protocol";
import type { TaskQuery } from "../stores/store.js";
import type { TaskRow } from "../tasks/task-row.js";
import { invalidField, toShown } from "./field-error.js";

const STATUSES: readonly TaskStatus[] = [
  "pending",
  "uploading",
  "processing",
  "completed",
  "failed",
  "cancelled",
];
const STANDARD_LIMIT = 50;
const MAX_LIMIT = 500;

/** `?status=&batchId=&after=&limit=` of a list. Other names pass: a proxy or a cache buster may have added them. */
export function parseTaskQuery(query: unknown): TaskQuery {
  const { status, batchId, after, limit } = query as { readonly [name: string]: unknown };
  return {
    ...(status !== undefined && { status: toStatus(status) }),
    ...(batchId !== undefined && {
      batchId: parseBatchId(batchId) ?? refuse("batchId", "must be an id", batchId),
    }),
    ...(after !== undefined && { after: parseTaskId(after) ?? refuse("after", "must be an id", after) }),
    limit: limit === undefined ? STANDARD_LIMIT : toLimit(limit),
  };
}

/** Path of the next page, or null when this one was the last. One row more than asked for tells. */
export function toNextPage(path: string, query: TaskQuery, rows: readonly TaskRow[]): string | null {
  const last = rows.at(query.limit - 1);
  if (rows.length <= query.limit || last === undefined) return null;
  const next = new URLSearchParams({ limit: String(query.limit), after: last.id });
  if (query.status !== undefined) next.set("status", query.status);
  if (query.batchId !== undefined) next.set("batchId", query.batchId);
  return `${path}?${next.toString()}`;
}

function toStatus(value: unknown): TaskStatus {
  return (
    STATUSES.find((status) => status === value) ??
    refuse("status", `must be one of ${STATUSES.join(", ")}`, value)
  );
}

function toLimit(value: unknown): number {
  const limit = typeof value === "string" && /^\d{1,4}$/.test(value) ? Number(value) : 0;
  return limit >= 1 && limit <= MAX_LIMIT ? limit : refuse("limit", `must be 1 to ${MAX_LIMIT}`, value);
}

function refuse(field: string, rule: string, got: unknown): never {
  throw invalidField(field, `${rule}: got ${toShown(got)}`);
}
