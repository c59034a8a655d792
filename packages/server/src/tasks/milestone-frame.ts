import { encodeFrame, toFrameBytes, type Milestone } from "@holdfast/stream";
import type { StoredMilestone } from "../stores/store.js";

/** The topic of a batch's own events; no task has such an id. */
export const BATCH_TOPIC = ":batch";

/** A store that hands out the same object again spares its readers the frame. */
const encoded = new WeakMap<StoredMilestone, Milestone>();

/** The frame of a stored milestone: encoded once, then shared by every connection. */
export function toMilestone(stored: StoredMilestone): Milestone {
  const known = encoded.get(stored);
  if (known !== undefined) return known;
  const text = encodeFrame({ id: stored.cursor, event: stored.event, data: stored.data });
  const milestone: Milestone = {
    topic: stored.taskId ?? BATCH_TOPIC,
    cursor: stored.cursor,
    position: stored.position,
    frame: toFrameBytes(text),
    ending: stored.ending,
  };
  encoded.set(stored, milestone);
  return milestone;
}
