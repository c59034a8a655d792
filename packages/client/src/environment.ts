/** What the clock, chance and timers are to this package; tests bring their own. */
export interface Environment {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** Calls back once; returns what cancels it. */
  readonly setTimer: (callback: () => void, delayMs: number) => () => void;
}

// The clock of timers stands still while a machine sleeps; a look at the time of day this often is how waking is noticed.
const SLICE_MS = 2000;

function systemEnvironment(ref: boolean): Environment {
  return {
    now: () => Date.now(),
    random: () => Math.random(),
    setTimer(callback, delayMs) {
      const dueAtMs = Date.now() + delayMs;
      let timer: ReturnType<typeof setTimeout>;
      const wait = (leftMs: number): void => {
        timer = setTimeout(
          () => {
            // A clock set back must not make it longer.
            const nextMs = Math.min(leftMs - SLICE_MS, dueAtMs - Date.now());
            if (nextMs > 0) wait(nextMs);
            else callback();
          },
          Math.min(leftMs, SLICE_MS),
        );
        if (!ref && typeof timer === "object") timer.unref();
      };
      wait(delayMs);
      return () => clearTimeout(timer);
    },
  };
}

/** Its timers keep a Node process alive, so that a pending retry is not lost with it. */
export const SYSTEM_ENVIRONMENT: Environment = systemEnvironment(true);
/** The same, but a process that has nothing else to do may end. */
export const UNREF_ENVIRONMENT: Environment = systemEnvironment(false);
