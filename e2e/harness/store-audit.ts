/**
 * Reads the database of a server that does not run, from a copy: a look must not recover what the next start has to.
 */
import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Database {
  prepare(sql: string): { all(...values: string[]): Record<string, unknown>[] };
  close(): void;
}

export interface AuditedMilestone {
  readonly position: number;
  readonly taskId: string;
  readonly batchId: string | null;
  readonly event: string;
  readonly ending: boolean;
}

export interface Audit {
  /** `ok`, or what is wrong. */
  readonly integrity: string;
  readonly statuses: ReadonlyMap<string, string>;
  /** In order of position. */
  readonly milestones: readonly AuditedMilestone[];
}

export function auditStore(dataDir: string): Audit {
  const copy = mkdtempSync(join(tmpdir(), "holdfast-audit-"));
  try {
    for (const name of readdirSync(dataDir)) {
      if (name.startsWith("holdfast.db")) cpSync(join(dataDir, name), join(copy, name));
    }
    const database = openDatabase(join(copy, "holdfast.db"));
    const integrity = database.prepare("PRAGMA integrity_check").all();
    const tasks = database.prepare("SELECT id, status FROM tasks").all();
    const milestones = database.prepare("SELECT * FROM milestones ORDER BY seq").all();
    database.close();
    return {
      integrity: integrity.map((row) => String(row["integrity_check"])).join("; "),
      statuses: new Map(tasks.map((row) => [String(row["id"]), String(row["status"])])),
      milestones: milestones.map((row) => ({
        position: Number(row["seq"]),
        taskId: String(row["task_id"]),
        batchId: typeof row["batch_id"] === "string" ? row["batch_id"] : null,
        event: String(row["event"]),
        ending: row["ending"] === 1,
      })),
    };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function openDatabase(path: string): Database {
  const require = createRequire(import.meta.url);
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  const { DatabaseSync } = require(builtIn ? "node:sqlite" : "@photostructure/sqlite") as {
    readonly DatabaseSync: new (file: string) => Database;
  };
  return new DatabaseSync(path);
}
