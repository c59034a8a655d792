/**
 * Frames of `text/event-stream`, by WHATWG HTML §9.2 "Server-sent events". Free of any runtime: the client's tests use it too.
 *
 * Promises: whatever the caller passes as data, the reader gets exactly one event with exactly that data, line endings
 * normalised to LF as the format demands. Refuses: an event name or id that could start another field or another event.
 */

/** One event. All fields are optional; a frame without `data` dispatches nothing but may set id and retry. */
export interface FrameFields {
  readonly event?: string;
  readonly id?: string;
  /** Reconnection time in milliseconds, a non-negative integer. */
  readonly retry?: number;
  readonly data?: string;
}

// [html §9.2.5] CRLF, LF and CR all end a line; [html §9.2.6] an id with NULL is ignored by readers, so it is refused here.
const FORBIDDEN = /[\r\n\0]/;
const LINE_END = /\r\n|\r|\n/;

/** Returns the frame as text, ending in the empty line that dispatches it. Throws RangeError on a forbidden name, id or retry. */
export function encodeFrame(fields: FrameFields): string {
  let text = "";
  if (fields.retry !== undefined) {
    if (!Number.isSafeInteger(fields.retry) || fields.retry < 0) {
      throw new RangeError(`retry must be a non-negative integer of milliseconds: got ${fields.retry}`);
    }
    text += `retry: ${fields.retry}\n`;
  }
  if (fields.id !== undefined) text += `id: ${assertSingleLine("id", fields.id)}\n`;
  if (fields.event !== undefined) text += `event: ${assertSingleLine("event", fields.event)}\n`;
  if (fields.data !== undefined) {
    // JSON has no raw line ends, so the split is skipped on the path that matters.
    if (FORBIDDEN.test(fields.data)) {
      for (const line of fields.data.split(LINE_END)) text += `data: ${line}\n`;
    } else {
      text += `data: ${fields.data}\n`;
    }
  }
  return `${text}\n`;
}

/** A comment: bytes on the wire that dispatch nothing. */
export function encodeComment(text: string): string {
  return `: ${assertSingleLine("comment", text)}\n\n`;
}

function assertSingleLine(field: string, value: string): string {
  if (FORBIDDEN.test(value)) {
    throw new RangeError(
      `${field} must not contain CR, LF or NUL: got ${JSON.stringify(value.slice(0, 80))}; send it in data instead`,
    );
  }
  return value;
}
