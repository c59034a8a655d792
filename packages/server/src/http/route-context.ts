import { parseBatchId, parseTaskId, type BatchId, type TaskId } from "@holdfast/protocol";
import type { Logger } from "pino";
import { HoldfastError } from "../errors.js";
import type { HoldfastSettings } from "../options.js";
import type { Store } from "../stores/store.js";
import type { Batches } from "../tasks/batches.js";
import type { Controls } from "../tasks/controls.js";
import type { Deliveries } from "../tasks/deliveries.js";
import type { Streams } from "../tasks/streams.js";
import type { Tasks } from "../tasks/tasks.js";
import type { Metrics } from "./metrics.js";

/** What every route of the door works with. */
export interface RouteContext {
  readonly settings: HoldfastSettings;
  readonly logger: Logger;
  readonly store: Store;
  readonly tasks: Tasks;
  readonly batches: Batches;
  readonly streams: Streams;
  readonly controls: Controls;
  readonly deliveries: Deliveries;
  readonly metrics: Metrics;
  /** Cancels a task, and lets go of its bytes where it is an upload. */
  readonly cancel: (id: TaskId, reason: string | null) => Promise<void>;
  /** The server has begun to go away. */
  readonly draining: () => boolean;
  /** New streams are taken; false from when those that are open are told to come back. */
  readonly streamsOpen: () => boolean;
}

export interface IdParams {
  readonly id: string;
}

/** A text that is no id names nothing that could exist. */
export function toTaskId(text: string): TaskId {
  const id = parseTaskId(text);
  if (id === undefined) {
    throw new HoldfastError("TASK_NOT_FOUND", "no task can have this id; ids are 1 to 64 of A-Z a-z 0-9 _ -");
  }
  return id;
}

export function toBatchId(text: string): BatchId {
  const id = parseBatchId(text);
  if (id === undefined) {
    throw new HoldfastError(
      "BATCH_NOT_FOUND",
      "no batch can have this id; ids are 1 to 64 of A-Z a-z 0-9 _ -",
    );
  }
  return id;
}
