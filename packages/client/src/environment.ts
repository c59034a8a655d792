/** What the clock, chance and timers are to this package; tests bring their own. */
export interface Environment {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Calls back once; returns what cancels it. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
}

/** Timers are not unref'd: a pending retry must keep a Node process alive. */
export const SYSTEM_ENVIRONMENT: Environment = {
  now: () => Date.now(),
  random: () => Math.random(),
  setTimer(callback, delayMs) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
