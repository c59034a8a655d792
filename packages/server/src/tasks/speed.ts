/**
 * Smoothed speed of one task, in units a second.
 *
 * An exponential average over the last few seconds: each unit counts with e^(−age/τ). Read later without new units it
 * decays to 0 by itself, so a stall shows without anybody measuring it. Divided by the weight of the time measured so
 * far, so that the first second is not read as slow. Every time given must be of a clock that only goes forward.
 */

// 3 s: steady to the eye at four updates a second, and a stall is below 5 % after 9 s.
const TAU_MS = 3_000;
// Below this share of the peak nobody can tell it from standing still; it is said as 0.
const STANDSTILL = 0.01;

export class Speed {
  #weighted = 0;
  readonly #startMs: number;
  #lastMs: number;
  #peak = 0;

  constructor(nowMs: number) {
    this.#startMs = nowMs;
    this.#lastMs = nowMs;
  }

  add(units: number, nowMs: number): void {
    this.#weighted = this.#weighted * Math.exp((this.#lastMs - nowMs) / TAU_MS) + units / TAU_MS;
    this.#lastMs = nowMs;
    this.#peak = Math.max(this.#peak, this.perSecond(nowMs));
  }

  perSecond(nowMs: number): number {
    // 100 ms at least: the first chunk alone says little about a second.
    const measured = 1 - Math.exp(-Math.max(100, nowMs - this.#startMs) / TAU_MS);
    const perMs = (this.#weighted * Math.exp((this.#lastMs - nowMs) / TAU_MS)) / measured;
    const speed = perMs * 1_000;
    return speed < this.#peak * STANDSTILL ? 0 : Math.round(speed);
  }
}
