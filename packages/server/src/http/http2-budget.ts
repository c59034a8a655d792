/**
 * What a connection of HTTP/2 may spend on frames that cost its peer nothing and us something: streams that are reset, PINGs, SETTINGS.
 *
 * Promises: `BURST` of them at once and `PER_SECOND` ever after; whoever spends more is flooding [wire: floods] [rfc9113 §10.5]. Refuses: to know what a
 * frame is. Called by: `Http2Sessions`.
 */

// A page that is reloaded lets go of its hundred streams, several times a second by an impatient person.
const BURST = 500;
// Keep-alives and measurements of the round trip take a few.
const PER_SECOND = 50;

export class Http2Budget {
  #left = BURST;
  #atMs: number;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  /** Whether there was one left. */
  spend(nowMs: number): boolean {
    this.#left = Math.min(BURST, this.#left + ((nowMs - this.#atMs) * PER_SECOND) / 1_000);
    this.#atMs = nowMs;
    this.#left -= 1;
    return this.#left >= 0;
  }
}
