import type { Trial } from "./trial.js";

/**
 * One subtest of web-platform-tests/eventsource in our own words. Named after it, so that the two can be laid beside each other; a file
 * `x.any.js` stands for its copies in dedicated-worker/ and shared-worker/ too, since every case runs in every place.
 */
export interface WptCase {
  readonly file: string;
  /** Empty where the file is one subtest. */
  readonly subtest: string;
  /** Cookies, CORS: nothing outside a browser has them. */
  readonly browserOnly?: boolean;
  /** Not within a script's reach, and why; the case then shows what happens instead. */
  readonly beyond?: string;
  readonly run: (trial: Trial) => Promise<void> | void;
}
