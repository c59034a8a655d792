/** What producers do, at the origin's own door: so a case tells what the way does to streams from what it does to reports. */
import type { Task } from "@holdfast/protocol";
import { call, type Line } from "./line.js";

const JSON_TYPE = { "content-type": "application/json" };

export async function createTask(origin: Line): Promise<Task> {
  return await post(origin, "/api/v1/tasks", { maxAttempts: 1 });
}

export async function createUpload(origin: Line, total: number): Promise<Task> {
  return await post(origin, "/api/v1/uploads", { filename: "conformance.bin", total });
}

/** A milestone that carries the time at which it was reported. Returns its cursor, and how many watch the task. */
export async function reportMark(
  origin: Line,
  task: Task,
): Promise<{ readonly cursor: string; readonly watchers: number }> {
  return await post(origin, `/api/v1/tasks/${task.id}/events`, { type: "mark", data: { atMs: Date.now() } });
}

export async function completeTask(origin: Line, task: Task): Promise<void> {
  await post(origin, `/api/v1/tasks/${task.id}/events`, { type: "complete", data: { result: null } });
}

export async function readTask(line: Line, task: Task): Promise<Task> {
  const { status, text } = await call(line, `/api/v1/tasks/${task.id}`);
  if (status !== 200) throw new Error(`GET of the task: ${status}`);
  return JSON.parse(text) as Task;
}

async function post<Body = Task>(origin: Line, path: string, body: object): Promise<Body> {
  const { status, text } = await call(origin, path, {
    method: "POST",
    headers: JSON_TYPE,
    body: JSON.stringify(body),
  });
  if (status >= 300) throw new Error(`POST ${path}: ${status} ${text.slice(0, 200)}`);
  return JSON.parse(text) as Body;
}
