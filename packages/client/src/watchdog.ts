import type { Environment } from "./environment.js";

// A timer this late was held back (sleep, a hidden tab), so what the network holds may not have been read yet.
const LATE_MS = 1000;
// Long enough to read what has queued up, short against any heartbeat.
const GRACE_MS = 2000;

/**
 * Calls `onSilence` once when no byte came for `silenceMs`. Feeding it costs one assignment: the timer is set anew only when it
 * fires. Held-back timers raise no false alarm: one that fires late grants the socket a moment to deliver first.
 */
export class Watchdog {
  readonly #environment: Environment;
  readonly #onSilence: () => void;
  #silenceMs: number;
  #fedAtMs: number;
  #dueAtMs = 0;
  #cancel: (() => void) | undefined;

  constructor(environment: Environment, silenceMs: number, onSilence: () => void) {
    this.#environment = environment;
    this.#onSilence = onSilence;
    this.#silenceMs = silenceMs;
    this.#fedAtMs = environment.now();
    this.#arm(silenceMs);
  }

  feed(): void {
    this.#fedAtMs = this.#environment.now();
  }

  /** The server has said how often it speaks. */
  expect(silenceMs: number): void {
    if (silenceMs === this.#silenceMs || this.#cancel === undefined) return;
    this.#silenceMs = silenceMs;
    this.#arm(silenceMs);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #arm(delayMs: number): void {
    this.#cancel?.();
    this.#dueAtMs = this.#environment.now() + delayMs;
    this.#cancel = this.#environment.setTimer(() => this.#check(), delayMs);
  }

  #check(): void {
    const now = this.#environment.now();
    // A clock set back makes the age negative; it must not make the wait longer than one period.
    const leftMs = Math.min(this.#silenceMs, this.#fedAtMs + this.#silenceMs - now);
    if (leftMs > 0) this.#arm(leftMs);
    else if (now - this.#dueAtMs > LATE_MS) this.#arm(GRACE_MS);
    else {
      this.stop();
      this.#onSilence();
    }
  }
}
