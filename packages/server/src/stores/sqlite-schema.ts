/**
 * Tables and statements of the embedded store. Parameters are in the order of the question marks.
 */
import type { SqlStatement } from "./sqlite-driver.js";

export const SCHEMA = `
  PRAGMA user_version = 1;
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tasks (
    n INTEGER PRIMARY KEY,            -- order of creation
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    status TEXT NOT NULL,
    batch_id TEXT,
    version INTEGER NOT NULL,
    due_at INTEGER,                   -- unix ms
    row TEXT NOT NULL                 -- the whole row, JSON
  );
  CREATE INDEX IF NOT EXISTS tasks_by_batch ON tasks (batch_id, n) WHERE batch_id IS NOT NULL;
  CREATE INDEX IF NOT EXISTS tasks_open_by_batch ON tasks (batch_id) -- so that each ending need not count a thousand
    WHERE batch_id IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled');
  CREATE INDEX IF NOT EXISTS tasks_by_status ON tasks (status, n);
  CREATE INDEX IF NOT EXISTS tasks_by_due ON tasks (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE IF NOT EXISTS milestones (
    seq INTEGER PRIMARY KEY,          -- the position
    ms INTEGER NOT NULL,              -- the time in the cursor
    task_id TEXT NOT NULL,            -- or ":" and a batch: its end
    batch_id TEXT,
    event TEXT NOT NULL,
    data TEXT NOT NULL,
    ending INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS milestones_by_task ON milestones (task_id, seq);
  CREATE INDEX IF NOT EXISTS milestones_by_batch ON milestones (batch_id, seq) WHERE batch_id IS NOT NULL;
  CREATE TABLE IF NOT EXISTS trimmed (
    owner TEXT PRIMARY KEY,           -- a task, or ":" and a batch for its tasks that are gone
    batch_id TEXT,
    seq INTEGER NOT NULL,             -- the newest milestone that is no longer held
    ms INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS trimmed_by_batch ON trimmed (batch_id, seq) WHERE batch_id IS NOT NULL;
  CREATE TABLE IF NOT EXISTS deliveries (task_id TEXT PRIMARY KEY, log TEXT NOT NULL); -- log: JSON, at most 40 KB
  CREATE TABLE IF NOT EXISTS batches (id TEXT PRIMARY KEY, row TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS tombstones (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS idempotency (
    key TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, cursor TEXT NOT NULL, status TEXT NOT NULL, at INTEGER NOT NULL
  ) WITHOUT ROWID;
`;

export const STATEMENTS = {
  readMeta: "SELECT value FROM meta WHERE key = ?",
  setMeta:
    "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  clearMeta: "DELETE FROM meta WHERE key = ?",
  newest: "SELECT seq, ms FROM milestones ORDER BY seq DESC LIMIT 1",
  hasTask: "SELECT 1 AS one FROM tasks WHERE id = ?",
  readDeliveries: "SELECT log FROM deliveries WHERE task_id = ?",
  setDeliveries:
    "INSERT INTO deliveries (task_id, log) VALUES (?, ?) ON CONFLICT (task_id) DO UPDATE SET log = excluded.log",
  deleteDeliveries: "DELETE FROM deliveries WHERE task_id = ?",
  readTask: "SELECT row, version FROM tasks WHERE id = ?",
  addTask:
    "INSERT INTO tasks (id, kind, status, batch_id, version, due_at, row) VALUES (?, ?, ?, ?, ?, ?, ?)",
  updateTask: "UPDATE tasks SET status = ?, version = ?, due_at = ?, row = ? WHERE id = ? AND version = ?",
  deleteTask: "DELETE FROM tasks WHERE id = ?",
  listTasks: `SELECT row FROM tasks
    WHERE n > CASE WHEN ?1 IS NULL THEN 0 ELSE coalesce((SELECT n FROM tasks WHERE id = ?1), 9e15) END
      AND (? IS NULL OR kind = ?) AND (? IS NULL OR status = ?) AND (? IS NULL OR batch_id = ?)
    ORDER BY n LIMIT ?`,
  listDue: "SELECT row FROM tasks WHERE due_at <= ? ORDER BY due_at LIMIT ?",
  listReceiving: "SELECT row FROM tasks WHERE status IN ('pending', 'uploading') AND kind = 'upload'",
  addMilestone:
    "INSERT INTO milestones (seq, ms, task_id, batch_id, event, data, ending) VALUES (?, ?, ?, ?, ?, ?, ?)",
  readTaskMilestones: `SELECT * FROM milestones
    WHERE task_id IN (SELECT value FROM json_each(?)) AND seq > ? AND (seq > ? OR ending = 1)
    ORDER BY seq LIMIT ?`,
  readBatchMilestones: `SELECT * FROM milestones
    WHERE batch_id = ? AND seq > ? AND (seq > ? OR ending = 1)
    ORDER BY seq LIMIT ?`,
  timesAround: `SELECT
    (SELECT ms FROM milestones WHERE seq <= ?1 ORDER BY seq DESC LIMIT 1) AS below,
    (SELECT ms FROM milestones WHERE seq >= ?1 ORDER BY seq LIMIT 1) AS above`,
  countMilestones: "SELECT count(*) AS n FROM milestones WHERE task_id = ? AND ending = 0",
  nthMilestone:
    "SELECT seq, ms FROM milestones WHERE task_id = ? AND ending = 0 ORDER BY seq LIMIT 1 OFFSET ?",
  lastOfTask: "SELECT seq, ms FROM milestones WHERE task_id = ? ORDER BY seq DESC LIMIT 1",
  scanMilestones:
    "SELECT seq, ms, task_id, batch_id, ending FROM milestones WHERE seq > ? ORDER BY seq LIMIT ?",
  deleteOldest: "DELETE FROM milestones WHERE task_id = ? AND seq <= ? AND ending = 0",
  deleteSpan: "DELETE FROM milestones WHERE seq > ? AND seq <= ? AND ending = 0",
  addTrimmed: `INSERT INTO trimmed (owner, batch_id, seq, ms) VALUES (?, ?, ?, ?)
    ON CONFLICT (owner) DO UPDATE SET seq = max(seq, excluded.seq), ms = max(ms, excluded.ms)`,
  readTaskTrimmed: `SELECT seq, ms FROM trimmed
    WHERE owner IN (SELECT value FROM json_each(?)) ORDER BY seq DESC LIMIT 1`,
  readBatchTrimmed: "SELECT seq, ms FROM trimmed WHERE batch_id = ? ORDER BY seq DESC LIMIT 1",
  deleteTrimmed: "DELETE FROM trimmed WHERE owner = ?",
  deleteMilestones: "DELETE FROM milestones WHERE task_id = ?",
  addTombstone: "INSERT OR REPLACE INTO tombstones (id, at) VALUES (?, ?)",
  readTombstone: "SELECT at FROM tombstones WHERE id = ?",
  pruneTombstones: "DELETE FROM tombstones WHERE at < ?",
  addBatch: "INSERT OR IGNORE INTO batches (id, row) VALUES (?, ?)",
  readBatch: "SELECT row FROM batches WHERE id = ?",
  updateBatch: "UPDATE batches SET row = ? WHERE id = ?",
  listIdleBatches: `SELECT id FROM batches WHERE json_extract(row, '$.createdAtMs') < ?
    AND NOT EXISTS (SELECT 1 FROM tasks WHERE batch_id = batches.id) LIMIT ?`,
  listUnended: `SELECT id FROM batches
    WHERE json_extract(row, '$.closed') = 1 AND json_extract(row, '$.end') IS NULL`,
  deleteBatch: "DELETE FROM batches WHERE id = ?",
  hasOpenTask: `SELECT 1 AS one FROM tasks
    WHERE batch_id = ? AND status NOT IN ('completed', 'failed', 'cancelled') LIMIT 1`,
  countByStatus: "SELECT status, count(*) AS n FROM tasks WHERE batch_id = ? GROUP BY status",
  // What a batch lacks is told as long as somebody may hold a cursor of that age, also when the batch is made again.
  pruneTrimmed: "DELETE FROM trimmed WHERE owner LIKE ':%' AND ms < ?",
  addIdempotency:
    "INSERT OR REPLACE INTO idempotency (key, fingerprint, cursor, status, at) VALUES (?, ?, ?, ?, ?)",
  readIdempotency: "SELECT fingerprint, cursor, status FROM idempotency WHERE key = ? AND at >= ?",
  pruneIdempotency: "DELETE FROM idempotency WHERE at < ?",
} as const;

/** The statements, prepared. */
export type SqlStatements = { readonly [name in keyof typeof STATEMENTS]: SqlStatement };
