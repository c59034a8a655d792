import { formatCursor, parseTaskId, type Cursor, type Task, type TaskId } from "@holdfast/protocol";

export function taskId(text: string): TaskId {
  const id = parseTaskId(text);
  if (id === undefined) throw new Error(`no task id: ${text}`);
  return id;
}

export function cursor(sequence: number): Cursor {
  return formatCursor({ epoch: "abc", ms: 1_700_000_000_000 + sequence, sequence });
}

/** An upload half way. */
export function task(fields: Partial<Task> = {}): Task {
  return {
    id: taskId("t1"),
    kind: "upload",
    status: "uploading",
    stage: null,
    attempt: 1,
    filename: "a.bin",
    done: 50,
    total: 100,
    uploaded: 50,
    unit: "bytes",
    percentage: 50,
    speed: 10,
    eta: 5,
    rev: 5,
    metadata: {},
    batchId: null,
    result: null,
    error: null,
    reason: null,
    cursor: cursor(5),
    createdAt: 1,
    updatedAt: 2,
    endedAt: null,
    links: { self: "/s", stream: "/t", upload: "/u", content: "/c" },
    ...fields,
  };
}
