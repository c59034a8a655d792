/** [html §9.2.3] the last event id is sent as UTF-8; header values are strings of bytes. */
export function toHeaderBytes(id: string): string {
  return String.fromCharCode(...new TextEncoder().encode(id));
}
