/**
 * What producers say, whoever carries it: HTTP, or a call of the host's own code.
 *
 * A request of several reports is applied whole or not at all. With an idempotency key the answer is stored in the same
 * commit, so a retry after a lost answer changes nothing and hears the same.
 */
import { createHash } from "node:crypto";
import type { Cursor, TaskId, TaskStatus } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { IdempotencyKey } from "../stores/store.js";
import type { Command, Report } from "./lifecycle.js";
import type { TaskRow } from "./task-row.js";
import type { Tasks } from "./tasks.js";

export interface ReportAnswer {
  /** The task's newest milestone after the reports. */
  readonly cursor: Cursor;
  readonly status: TaskStatus;
  /** The producer should stop: the task was cancelled. */
  readonly cancelRequested: boolean;
  /** Streams open at this moment that carry the task; also of this moment when the request is a repeated one. */
  readonly watchers: number;
}

/**
 * Throws TASK_NOT_FOUND, TASK_EXPIRED, TASK_ENDED, STALE_ATTEMPT, INVALID_FIELD, IDEMPOTENCY_CONFLICT.
 * A report on a cancelled task changes nothing and is answered, so that the producer hears of the cancelling.
 */
export async function applyReports(
  tasks: Tasks,
  id: TaskId,
  reports: readonly Report[],
  idempotencyKey?: string,
): Promise<ReportAnswer> {
  const commands = reports.map((report): Command => ({ type: "report", report }));
  try {
    const [only] = commands;
    const light = idempotencyKey === undefined && commands.length === 1 && only !== undefined;
    if (light && (await tasks.progress(id, only))) return toAnswer(tasks, await tasks.read(id));
    const { row, before } = await tasks.commands(id, commands, toKey(id, reports, idempotencyKey));
    return { ...toAnswer(tasks, row), ...(before && { cursor: before.cursor, status: before.status }) };
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "TASK_ENDED") throw error;
    const row = await tasks.read(id);
    if (row.status === "cancelled") return toAnswer(tasks, row);
    throw error;
  }
}

function toKey(id: TaskId, reports: readonly Report[], key: string | undefined): IdempotencyKey | undefined {
  if (key === undefined) return undefined;
  const fingerprint = createHash("sha256").update(JSON.stringify(reports)).digest("base64url");
  return { key: `${id} ${key}`, fingerprint };
}

function toAnswer(tasks: Tasks, row: TaskRow): ReportAnswer {
  const { cursor, status, cancelRequested } = row;
  return { cursor, status, cancelRequested, watchers: tasks.watchers(row) };
}
