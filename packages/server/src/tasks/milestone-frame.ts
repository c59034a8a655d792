import { encodeFrame, toFrameBytes, type Milestone } from "@holdfast/stream";
import type { StoredMilestone } from "../stores/store.js";

/** The topic of a batch's own events; no task has such an id. */
export const BATCH_TOPIC = ":batch";

/** The frame of a stored milestone: encoded once, then shared by every connection. */
export function toMilestone(stored: StoredMilestone): Milestone {
  const text = encodeFrame({ id: stored.cursor, event: stored.event, data: stored.data });
  return {
    topic: stored.taskId ?? BATCH_TOPIC,
    cursor: stored.cursor,
    position: stored.position,
    frame: toFrameBytes(text),
    ending: stored.ending,
  };
}
