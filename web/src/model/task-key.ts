// 128 random bits, as the server's own ids have.
const BYTES = 16;

/** A task's id, chosen here, so that a row is named before the server answers. */
export function createTaskKey(): string {
  // Not randomUUID: it is missing on plain-http pages beyond localhost.
  return [...crypto.getRandomValues(new Uint8Array(BYTES))]
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("");
}
