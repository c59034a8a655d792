/**
 * What servers have said, over all their lives: bytes they confirmed, and which event each cursor names.
 *
 * A break of a promise is noted, not thrown: the run goes on, and the report shows all of them.
 */
import type { JsonFields } from "../harness/http-call.js";

export class Ledger {
  readonly violations: string[] = [];
  readonly #confirmed = new Map<string, number>();
  readonly #events = new Map<string, string>();

  violation(text: string): void {
    // The first hundred tell what is wrong; ten thousand would only hide them.
    if (this.violations.length < 100) this.violations.push(text);
  }

  /** Most bytes that any server has said are stored. */
  confirmed(id: string): number {
    return this.#confirmed.get(id) ?? 0;
  }

  /** What is confirmed at this moment, of every upload. */
  floors(): Map<string, number> {
    return new Map(this.#confirmed);
  }

  /** `floor`: what had been confirmed before the server was asked. */
  stored(id: string, bytes: number, floor: number, where: string): void {
    if (bytes < floor) this.violation(`${id}: ${where} says ${bytes} bytes, ${floor} had been confirmed`);
    this.#confirmed.set(id, Math.max(this.confirmed(id), bytes));
  }

  /** A cursor names one event, for everybody and for ever. */
  event(cursor: string, event: string, data: JsonFields): void {
    const said = `${event} ${JSON.stringify(data)}`;
    const before = this.#events.get(cursor);
    if (before !== undefined && before !== said)
      this.violation(`cursor ${cursor} names ${before} and ${said}`);
    this.#events.set(cursor, said);
  }

  /** Cursors seen. */
  get cursors(): number {
    return this.#events.size;
  }
}
