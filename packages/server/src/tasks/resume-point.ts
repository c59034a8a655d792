/**
 * Where a stream begins, from what the client says it has seen.
 */
import { MAX_LAST_EVENT_ID_CHARS, type Cursor, type GapData, type TaskId } from "@holdfast/protocol";
import { encodeFrame } from "@holdfast/stream";
import type { Mark, Store } from "../stores/store.js";

/** `foreign`: a cursor of another store, of the future, or none of ours at all. [wire: resume-gap] */
export type ResumePoint =
  | { readonly kind: "fresh" }
  | { readonly kind: "resumed"; readonly mark: Mark }
  | { readonly kind: "foreign"; readonly from: string };

export async function readResumePoint(store: Store, lastEventId: string | undefined): Promise<ResumePoint> {
  if (lastEventId === undefined || lastEventId === "") return { kind: "fresh" };
  const position = lastEventId.length > MAX_LAST_EVENT_ID_CHARS ? undefined : await store.locate(lastEventId);
  if (position === undefined) {
    return { kind: "foreign", from: lastEventId.slice(0, MAX_LAST_EVENT_ID_CHARS) };
  }
  return { kind: "resumed", mark: { cursor: lastEventId as Cursor, position } };
}

/** The `gap` event; empty where there is none to tell. */
export function encodeGap(point: ResumePoint, taskId: TaskId | null, to: Cursor): string {
  if (point.kind !== "foreign") return "";
  const gap: GapData = { taskId, from: point.from, to };
  return encodeFrame({ event: "gap", data: JSON.stringify(gap) });
}
