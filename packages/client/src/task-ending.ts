import { isTerminal, type Task } from "@holdfast/protocol";
import type { WatchEvent } from "./watch-event.js";

type EndingEvent = Extract<WatchEvent, { type: "complete" | "failed" | "cancelled" }>;

/** The ending as the stream would have brought it; undefined while the task goes on. */
export function toEndingEvent(task: Task): EndingEvent | undefined {
  const { id: taskId, cursor: lastEventId, status } = task;
  const timestamp = task.endedAt ?? task.updatedAt;
  if (!isTerminal(status)) return undefined;
  switch (status) {
    case "completed":
      return { type: "complete", data: { taskId, timestamp, result: task.result }, lastEventId };
    case "failed": {
      const error = task.error ?? { code: "UNKNOWN", message: "the task failed", retryable: false };
      return { type: "failed", data: { taskId, timestamp, error }, lastEventId };
    }
    case "cancelled":
      break;
  }
  return { type: "cancelled", data: { taskId, timestamp, reason: task.reason }, lastEventId };
}
