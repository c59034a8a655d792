/**
 * Who was sent which ending, in the embedded store: one log a task, read and written whole. Called by: `SqliteStore` alone.
 */
import type { TaskId } from "@holdfast/protocol";
import { mergeDeliveries, NO_DELIVERIES, type DeliveryEntry, type DeliveryLog } from "./delivery-log.js";
import type { SqlStatements } from "./sqlite-schema.js";

export class SqliteDeliveries {
  readonly #sql: SqlStatements;

  constructor(sql: SqlStatements) {
    this.#sql = sql;
  }

  read(id: TaskId): DeliveryLog {
    const found = this.#sql.readDeliveries.get(id);
    return found === undefined ? NO_DELIVERIES : (JSON.parse(String(found["log"])) as DeliveryLog);
  }

  /** Within a transaction of the caller's. Entries of a task that is gone are passed over. */
  record(entries: readonly DeliveryEntry[]): void {
    const byTask = new Map<TaskId, DeliveryEntry[]>();
    for (const entry of entries) {
      const ofTask = byTask.get(entry.taskId);
      if (ofTask === undefined) byTask.set(entry.taskId, [entry]);
      else ofTask.push(entry);
    }
    for (const [id, ofTask] of byTask) {
      if (this.#sql.hasTask.get(id) === undefined) continue;
      this.#sql.setDeliveries.run(id, JSON.stringify(mergeDeliveries(this.read(id), ofTask)));
    }
  }

  forget(id: TaskId): void {
    this.#sql.deleteDeliveries.run(id);
  }
}
