/**
 * What has come over a stream of our own, told by cursors: an event that came before is not delivered again, and one that did not come is
 * noticed. A stream is ours when it begins with `connected` under a cursor as id. On any other every event is new, as EventSource has it: a
 * foreign id may repeat and mean something, and nothing is missed.
 *
 * Relies on one total order of cursors per store and epoch across all tasks of a stream, which the contract promises.
 */
import { parseCursor, type CursorParts } from "@holdfast/protocol";
import type { StreamEvent } from "./event-stream-parser.js";
import { readField } from "./json-field.js";

export type JournalVerdict = "new" | "replayed" | "missed";

export class StreamJournal {
  #seen: CursorParts | undefined;
  #first = true;
  #ours = false;
  /** The last id of this connection. */
  #last: unknown;

  /** A new connection: what was seen stays, whether it is ours must show again. */
  begin(): void {
    this.#first = true;
  }

  judge({ event, data, id }: StreamEvent): JournalVerdict {
    const cursor = id === undefined ? undefined : parseCursor(id);
    if (this.#first) {
      this.#first = false;
      this.#ours = event === "connected" && cursor !== undefined;
      // The server decides where its stream begins, also before what was seen: its store may have been put back.
      if (this.#ours) this.#seen = cursor;
      this.#last = id;
      return "new";
    }
    if (!this.#ours) return "new";
    if (event === "heartbeat") {
      // It names the last milestone written before it; any other than the last that came is a loss. [wire: heartbeat-cursor]
      const written = readField(data, "cursor");
      return typeof written === "string" && written !== this.#last ? "missed" : "new";
    }
    this.#last = id ?? this.#last;
    if (cursor === undefined) return "new";
    const seen = this.#seen;
    if (seen?.epoch === cursor.epoch && seen.sequence >= cursor.sequence) return "replayed";
    this.#seen = cursor;
    return "new";
  }
}
