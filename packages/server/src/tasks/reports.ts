/**
 * What producers say, whoever carries it: HTTP, or a call of the host's own code.
 *
 * A request of several reports is applied whole or not at all. With an idempotency key the answer is stored in the same
 * commit, so a retry after a lost answer changes nothing and hears the same.
 */
import { createHash } from "node:crypto";
import { isTerminal, type Cursor, type TaskId, type TaskStatus } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { Store } from "../stores/store.js";
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
  store: Store,
  id: TaskId,
  reports: readonly Report[],
  idempotencyKey?: string,
): Promise<ReportAnswer> {
  const key = idempotencyKey === undefined ? undefined : `${id} ${idempotencyKey}`;
  const fingerprint = createHash("sha256").update(JSON.stringify(reports)).digest("base64url");
  if (key !== undefined) {
    const before = await store.readIdempotency(key);
    if (before !== undefined && before.fingerprint !== fingerprint) {
      throw new HoldfastError(
        "IDEMPOTENCY_CONFLICT",
        "the Idempotency-Key was used for another request to this task; draw a new key for a new request",
        { field: "Idempotency-Key" },
      );
    }
    if (before !== undefined) {
      const now = await tasks.read(id);
      return { ...toAnswer(tasks, now), cursor: before.cursor, status: before.status };
    }
  }
  const row = await tasks.read(id);
  if (row.status === "cancelled") return toAnswer(tasks, row);
  const commands = reports.map((report): Command => ({ type: "report", report }));
  const [only] = commands;
  const light = key === undefined && commands.length === 1 && only !== undefined;
  if (light && !isTerminal(row.status) && (await tasks.progress(id, only))) {
    return toAnswer(tasks, await tasks.read(id));
  }
  const after = await tasks.commands(id, commands, key === undefined ? undefined : { key, fingerprint });
  return toAnswer(tasks, after);
}

function toAnswer(tasks: Tasks, row: TaskRow): ReportAnswer {
  const { cursor, status, cancelRequested } = row;
  return { cursor, status, cancelRequested, watchers: tasks.watchers(row) };
}
