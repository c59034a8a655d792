import { LAST_EVENT_ID } from "@holdfast/protocol";

/** Sets what every attempt at a stream says of itself. Called by: connection.ts, eventsource.ts. */
export function setStreamHeaders(headers: Headers, lastEventId: string): void {
  headers.set("Accept", "text/event-stream");
  if (lastEventId !== "") headers.set(LAST_EVENT_ID, toHeaderBytes(lastEventId));
  // [fetch §4.5] `cache: "no-store"` says this on the wire; Bun and Deno take the mode and say nothing. A browser says it by itself, and set
  // here it would cost a preflight.
  const mute = "Bun" in globalThis || "Deno" in globalThis;
  if (mute && !headers.has("Cache-Control")) headers.set("Cache-Control", "no-cache");
}

/** [html §9.2.3] the id is sent as UTF-8; header values are strings of bytes. */
function toHeaderBytes(id: string): string {
  return Array.from(new TextEncoder().encode(id), (byte) => String.fromCharCode(byte)).join("");
}
