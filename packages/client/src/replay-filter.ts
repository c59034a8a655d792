import { parseCursor, type CursorParts } from "@holdfast/protocol";

/**
 * Tells a replayed event from a new one, by cursor, on streams of our own: those that began with `connected` under a cursor as id.
 * On any other stream every event is new, as EventSource has it: a foreign id may repeat and mean something.
 *
 * Relies on one total order of cursors per store and epoch across all tasks of a stream, which the contract promises.
 */
export class ReplayFilter {
  #seen: CursorParts | undefined;
  #ours = false;
  #first = true;

  /** A new connection: what was seen stays, whether it is ours must show again. */
  begin(): void {
    this.#first = true;
    this.#ours = false;
  }

  /** Whether to deliver the event; `id` is undefined when it carries none. */
  accept(type: string, id: string | undefined): boolean {
    const cursor = id === undefined ? undefined : parseCursor(id);
    if (this.#first) {
      this.#first = false;
      this.#ours = type === "connected" && cursor !== undefined;
      // The server decides where its stream begins, also before what was seen: its store may have been put back.
      if (this.#ours) this.#seen = cursor;
      return true;
    }
    if (!this.#ours || cursor === undefined) return true;
    if (!this.#isNew(cursor)) return false;
    this.#seen = cursor;
    return true;
  }

  #isNew(cursor: CursorParts): boolean {
    const seen = this.#seen;
    return seen === undefined || seen.epoch !== cursor.epoch || cursor.sequence > seen.sequence;
  }
}
