import { parseCursor } from "@holdfast/protocol";
import type { EventSourceMessage } from "eventsource-parser";
import { readField } from "./json-field.js";

/**
 * Whether all that was written on a connection has come: a heartbeat of ours names the last milestone written before it, and any other
 * than the last that came is a loss. [wire: heartbeat-cursor] On a stream that did not begin with our `connected` nothing is judged.
 */
export class HeartbeatProof {
  #first = true;
  /** Undefined on a stream that is not ours. */
  #cursor: string | undefined;

  holds({ event, data, id }: EventSourceMessage): boolean {
    if (this.#first) {
      this.#first = false;
      this.#cursor = event === "connected" && parseCursor(id ?? "") !== undefined ? id : undefined;
      return true;
    }
    if (this.#cursor === undefined) return true;
    if (id !== undefined) this.#cursor = id;
    const written = event === "heartbeat" ? readField(data, "cursor") : undefined;
    return typeof written !== "string" || written === this.#cursor;
  }
}
