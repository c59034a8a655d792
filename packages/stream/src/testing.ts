/**
 * For tests of what stands on the engine: a clock that is moved by hand, and a sink that keeps what was written.
 */
export { ManualClock } from "./testing/manual-clock.js";
export { PaperSink } from "./testing/paper-sink.js";
