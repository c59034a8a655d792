/**
 * Where a stream begins, from what the client says it has seen.
 */
import { MAX_LAST_EVENT_ID_CHARS, type Cursor, type GapData, type TaskId } from "@holdfast/protocol";
import { encodeFrame, toLost, type Lost } from "@holdfast/stream";
import type { Mark, MilestoneQuery, Store } from "../stores/store.js";

/**
 * `foreign`: a cursor of another store, of the future, or none of ours at all. `lost`: the newest milestone after a cursor of ours that
 * is no longer held; what is held after the cursor follows all the same. [wire: resume-gap]
 */
export type ResumePoint =
  | { readonly kind: "fresh" }
  | { readonly kind: "resumed"; readonly mark: Mark; readonly lost: Lost | undefined }
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
  const mark = { cursor: lastEventId as Cursor, position };
  const trimmed = await store.readTrimmed(of);
  if (trimmed === undefined || trimmed.position <= position)
    return { kind: "resumed", mark, lost: undefined };
  // Read together: what is gone, and whether something before it is held.
  const page = await store.readMilestones({ of, after: position, limit: 1, endingsOnlyUpTo: 0 });
  return { kind: "resumed", mark, lost: toLost(page, position) };
}

/** Position up to which the stream's first frames account for what history lacks: said in a `gap`. */
export function accountedFor(point: ResumePoint): number {
  return point.kind === "resumed" ? (point.lost?.mark.position ?? 0) : 0;
}

/** The cursor a client has after `connected` and the `gap` behind it. `start`: the one in `connected`. */
export function toStart(point: ResumePoint, start: Cursor): string {
  return point.kind === "resumed" && point.lost?.passed === true ? point.lost.mark.cursor : start;
}

/** The `gap` event behind `connected`; empty where there is none to tell. `start`: the cursor in `connected`. */
export function encodeFirstGap(point: ResumePoint, taskId: TaskId | null, start: Cursor): string {
  if (point.kind === "foreign") {
    const data: GapData = { taskId, from: point.from, to: start };
    return encodeFrame({ event: "gap", data: JSON.stringify(data) });
  }
  return point.kind === "fresh" || point.lost === undefined
    ? ""
    : encodeGap(taskId, point.mark.cursor, point.lost);
}

/** [wire: resume-gap] A gap that nothing held lies before moves the client's cursor past itself, so that it is told once. */
export function encodeGap(taskId: TaskId | null, from: string, { mark, passed }: Lost): string {
  const data: GapData = { taskId, from, to: mark.cursor as Cursor };
  return encodeFrame({ ...(passed && { id: mark.cursor }), event: "gap", data: JSON.stringify(data) });
}
