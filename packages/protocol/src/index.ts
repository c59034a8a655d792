export { formatCursor, parseCursor, type Cursor, type CursorParts } from "./cursor.js";
export {
  ERROR_STATUS,
  TASK_ERROR_CODES,
  type ErrorCode,
  type ProblemDocument,
  type TaskErrorCode,
} from "./error-code.js";
export {
  isCustomEventName,
  isEnding,
  STREAM_EVENT_NAMES,
  type AttemptData,
  type BatchCompleteData,
  type BatchData,
  type CancelledData,
  type CompleteData,
  type ConnectedData,
  type ConnectedManyData,
  type CustomData,
  type DrainData,
  type EndingName,
  type FailedData,
  type GapData,
  type HeartbeatData,
  type ProgressData,
  type SnapshotData,
  type StageData,
  type StatusData,
  type StreamEventName,
  type StreamEvents,
  type UnavailableData,
} from "./events.js";
export {
  IDEMPOTENCY_KEY,
  LAST_EVENT_ID,
  MAX_LAST_EVENT_ID_CHARS,
  STREAM_HEADERS,
  UPLOAD_TASK_ID,
  X_FILE_NAME,
} from "./headers.js";
export { parseBatchId, parseTaskId, type BatchId, type TaskId } from "./id.js";
export {
  isTerminal,
  type Batch,
  type Json,
  type Task,
  type TaskError,
  type TaskLinks,
  type TaskProgress,
  type TaskStatus,
  type TerminalStatus,
} from "./task.js";
