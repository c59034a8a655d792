/**
 * Header names and values of the wire that more than one room needs.
 */

/** Sent with every stream. Each guards against one kind of holder or cache, see docs/wire.md. */
export const STREAM_HEADERS: { readonly [name: string]: string } = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-cache, no-store, no-transform, must-revalidate",
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
};

export const LAST_EVENT_ID = "Last-Event-ID";

/** Binds a one-shot upload to an upload created before. */
export const UPLOAD_TASK_ID = "Upload-Task-Id";

/** Names a raw upload; percent-encoded UTF-8. */
export const X_FILE_NAME = "X-File-Name";

export const IDEMPOTENCY_KEY = "Idempotency-Key";

/** Bound of a `Last-Event-ID`, in characters; the longest cursor of ours has 48. */
export const MAX_LAST_EVENT_ID_CHARS = 128;
