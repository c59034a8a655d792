/**
 * Where a stream begins, from what the client says it has seen.
 */
import { MAX_LAST_EVENT_ID_CHARS, type Cursor, type GapData, type TaskId } from "@holdfast/protocol";
import { encodeFrame } from "@holdfast/stream";
import type { Mark, MilestoneQuery, Store } from "../stores/store.js";

/**
 * `foreign`: a cursor of another store, of the future, or none of ours at all. `lost`: the newest milestone after a cursor of ours that
 * is no longer held; what is held after the cursor follows all the same. [wire: resume-gap]
 */
export type ResumePoint =
  | { readonly kind: "fresh" }
  | { readonly kind: "resumed"; readonly mark: Mark; readonly lost: Mark | undefined }
  | { readonly kind: "foreign"; readonly from: string };

/** `of`: the tasks that the stream will carry. */
export async function readResumePoint(
  store: Store,
  lastEventId: string | undefined,
  of: MilestoneQuery["of"],
): Promise<ResumePoint> {
  if (lastEventId === undefined || lastEventId === "") return { kind: "fresh" };
  const position = lastEventId.length > MAX_LAST_EVENT_ID_CHARS ? undefined : await store.locate(lastEventId);
  if (position === undefined) {
    return { kind: "foreign", from: lastEventId.slice(0, MAX_LAST_EVENT_ID_CHARS) };
  }
  const trimmed = await store.readTrimmed(of);
  const lost = trimmed !== undefined && trimmed.position > position ? trimmed : undefined;
  return { kind: "resumed", mark: { cursor: lastEventId as Cursor, position }, lost };
}

/** Position up to which the stream's first frames account for what history lacks: said in a `gap`. */
export function accountedFor(point: ResumePoint): number {
  return point.kind === "resumed" ? (point.lost?.position ?? 0) : 0;
}

/** The `gap` event; empty where there is none to tell. `start`: the cursor in `connected`. */
export function encodeGap(point: ResumePoint, taskId: TaskId | null, start: Cursor): string {
  if (point.kind === "fresh" || (point.kind === "resumed" && point.lost === undefined)) return "";
  const gap: GapData =
    point.kind === "foreign"
      ? { taskId, from: point.from, to: start }
      : { taskId, from: point.mark.cursor, to: point.lost?.cursor ?? start };
  return encodeFrame({ event: "gap", data: JSON.stringify(gap) });
}
