export { HoldfastClientError, type ClientErrorCode, type ClientErrorExtras } from "./client-error.js";
export { type RequestBody } from "./connection.js";
export { HoldfastApi, type CallOptions, type HoldfastApiOptions, type NewBatch } from "./holdfast-api.js";
export { type Problem } from "./problem.js";
export { type RequestHeaders } from "./request-headers.js";
export { StableEventSource, type StableEventSourceEventMap } from "./stable-event-source.js";
export {
  StreamErrorEvent,
  StreamMessageEvent,
  StreamStateEvent,
  type StreamErrorInfo,
  type StreamStateInfo,
} from "./stream-event.js";
export { type StableEventSourceOptions } from "./stream-options.js";
export { type CloseReason, type LossReason, type StateReason, type StreamStateKind } from "./stream-state.js";
export { type StreamTransport } from "./transport-choice.js";
export { watchBatch, watchTasks, type BatchOutcome, type BatchWatch } from "./watch-batch.js";
export { type WatchEvent } from "./watch-event.js";
export { type ConnectionInfo, type WatchOptions } from "./watch-options.js";
export { watchTask, type Ending, type TaskWatch } from "./watch-task.js";
// What a client gets to see of the wire, so that a page needs no second package for its types.
export {
  isTerminal,
  type Batch,
  type BatchData,
  type BatchId,
  type Cursor,
  type Json,
  type ProgressData,
  type StreamEvents,
  type Task,
  type TaskError,
  type TaskId,
  type TaskStatus,
} from "@holdfast/protocol";
