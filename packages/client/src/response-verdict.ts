/** What an answer means for the stream; the status table of the contract. */
export type ResponseVerdict = "open" | "done" | "refused" | "status" | "content-type";

// 408 and 425 ask for another try by definition, 429 for a later one.
const RETRYABLE_4XX: ReadonlySet<number> = new Set([408, 425, 429]);

/**
 * `status` and `content-type` are retried: a proxy in a deploy answers 502, a captive portal 200 with HTML, and both pass.
 * A status below 200 or in 3xx that fetch let through is treated like them.
 */
export function toVerdict(status: number, contentType: string | null): ResponseVerdict {
  if (status === 204) return "done";
  if (status === 200) return isEventStream(contentType) ? "open" : "content-type";
  return status >= 400 && status < 500 && !RETRYABLE_4XX.has(status) ? "refused" : "status";
}

/** Whatever its parameters say. */
export function isEventStream(contentType: string | null): boolean {
  const essence = (contentType ?? "").split(";", 1)[0] ?? "";
  return essence.trim().toLowerCase() === "text/event-stream";
}
