import type { BatchId, ConnectionInfo, Cursor, Task, TaskId } from "@holdfast/client";

/** An upload of 100 bytes, 40 of them stored. */
export function createTask(id: string, change: Partial<Task> = {}): Task {
  return {
    id: id as TaskId,
    kind: "upload",
    status: "uploading",
    stage: null,
    attempt: 1,
    filename: `${id}.txt`,
    done: 40,
    total: 100,
    uploaded: 40,
    unit: "bytes",
    percentage: 40,
    speed: 10,
    eta: 6,
    rev: 3,
    metadata: { lastModified: "7" },
    batchId: "batch" as BatchId,
    result: null,
    error: null,
    reason: null,
    cursor: "e-1-1" as Cursor,
    createdAt: 1000,
    updatedAt: 1000,
    endedAt: null,
    links: { self: "/s", stream: "/s/stream", upload: `/uploads/${id}`, content: `/uploads/${id}/content` },
    ...change,
  };
}

/** Of a stream that is open and has brought no heartbeat yet. */
export const OPEN_CONNECTION: ConnectionInfo = {
  state: "open",
  reason: "opened",
  attempt: 0,
  nextAttemptAt: null,
  transport: "sse",
  lastByteAgeMs: null,
  lastHeartbeatAtMs: null,
};

export function createFile(name: string, size = 100, lastModified = 7): File {
  return new File([new Uint8Array(size)], name, { lastModified });
}
