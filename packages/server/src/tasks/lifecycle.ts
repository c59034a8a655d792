/**
 * The life of a task as a pure function: a row and a command in, the next row and its milestones out.
 *
 *   pending → uploading → processing → completed | failed | cancelled
 *
 * Promises
 * - A terminal row never changes again, and the change that makes a row terminal has exactly one ending as its last milestone.
 * - Every change of status, stage or attempt is a milestone; nothing else is, but what a producer sends by a name of its own.
 *   The attempt after one that failed begins without: `attempt` has announced it.
 * - `done` and the percentage never go backward within an attempt; `done` never passes `total`.
 * - An older attempt changes nothing; a newer one opens the next.
 * Refuses: to read clocks, stores or files. Called by: `Tasks` alone.
 */
import {
  isCustomEventName,
  isTerminal,
  type AttemptData,
  type CancelledData,
  type CompleteData,
  type CustomData,
  type FailedData,
  type Json,
  type StageData,
  type StatusData,
  type TaskError,
  type TaskStatus,
} from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import type { MilestoneDraft } from "../stores/store.js";
import type { TaskRow } from "./task-row.js";
import { toPercentage } from "./task-wire.js";

export interface LifecycleSettings {
  /** An upload without a byte for so long fails with UPLOAD_EXPIRED. */
  readonly uploadExpiryMs: number;
  /** A task in `processing` without a sign of its producer for so long, and without a lease, is lost. */
  readonly processingTimeoutMs: number;
  /** How long an ended task is kept. */
  readonly retentionMs: number;
  /** How long the next attempt may take to begin. */
  readonly retryGraceMs: number;
}

/** What a producer says. `attempt` absent: the current one. */
export type Report = { readonly attempt?: number; readonly leaseSeconds?: number } & (
  | { readonly type: "progress"; readonly done: number; readonly total?: number }
  | { readonly type: "stage"; readonly stage: string; readonly phase: "begin" | "end" }
  | { readonly type: "custom"; readonly name: string; readonly data: Json }
  | { readonly type: "complete"; readonly result: Json }
  | ({ readonly type: "fail" } & TaskError)
);

export type Command =
  /** The first byte is about to be stored. */
  | { readonly type: "begin"; readonly oneShot: boolean }
  | { readonly type: "declareTotal"; readonly total: number }
  /** All bytes are stored and synced. */
  | { readonly type: "received"; readonly done: number; readonly result: Json }
  | { readonly type: "fail"; readonly error: TaskError }
  | { readonly type: "cancel"; readonly reason: string | null }
  | { readonly type: "report"; readonly report: Report }
  /** `dueAtMs` has passed. */
  | { readonly type: "lapse" };

/** The same moment on two clocks, in Unix milliseconds. */
export interface Moment {
  /** The time of day, for what is shown. */
  readonly nowMs: number;
  /** The steady clock of this process, for what falls due. */
  readonly steadyMs: number;
}

export interface Change {
  readonly row: TaskRow;
  readonly milestones: readonly MilestoneDraft[];
}

/** Throws HoldfastError: TASK_ENDED, STALE_ATTEMPT, INVALID_FIELD. */
export function applyCommand(
  row: TaskRow,
  command: Command,
  moment: Moment,
  settings: LifecycleSettings,
): Change {
  if (isTerminal(row.status)) {
    throw new HoldfastError("TASK_ENDED", `task ${row.id} has ended as ${row.status}; nothing can change it`);
  }
  const draft = new Draft(row, moment, settings);
  switch (command.type) {
    case "begin":
      draft.begin("uploading", command.oneShot);
      break;
    case "declareTotal":
      draft.declareTotal(command.total);
      break;
    case "received":
      draft.received(command.done, command.result);
      break;
    case "fail":
      draft.failed(command.error);
      break;
    case "cancel":
      draft.cancelled(command.reason);
      break;
    case "report":
      draft.report(command.report);
      break;
    case "lapse": {
      // It may have been heard of between the look at the clock and this.
      if (row.dueAtMs !== null && row.dueAtMs > moment.steadyMs) return { row, milestones: [] };
      draft.lapse();
      break;
    }
  }
  return draft.change();
}

/** An upload that lacks bytes: until it has them, nobody else can report on it. The task has not ended. */
export function isReceiving({ kind, status }: TaskRow): boolean {
  return kind === "upload" && status !== "processing";
}

/** Whether the change only moves the row: told at once and stored at leisure. What begins an attempt must survive a crash, though it is no milestone. */
export function isProgress(before: TaskRow, { row, milestones }: Change): boolean {
  return (
    milestones.length === 0 &&
    row.status === before.status &&
    row.stage === before.stage &&
    row.attempt === before.attempt &&
    row.retryUntilMs === before.retryUntilMs &&
    row.error === before.error
  );
}

/** Where a row's next deadline lies, by its state. `sinceMs`: now, on the clock of deadlines; what has just ended or begun counts from here. */
export function deadlineMs(row: TaskRow, settings: LifecycleSettings, sinceMs: number): number {
  if (isTerminal(row.status)) return sinceMs + settings.retentionMs;
  if (row.retryUntilMs !== null) return row.retryUntilMs;
  const seenAtMs = row.seenAtMs ?? sinceMs;
  if (isReceiving(row)) return seenAtMs + settings.uploadExpiryMs;
  return row.leaseUntilMs ?? seenAtMs + settings.processingTimeoutMs;
}

function assertAmount(field: string, amount: number): void {
  if (Number.isFinite(amount) && amount >= 0) return;
  throw new HoldfastError("INVALID_FIELD", `${field} must be a number of 0 or more: got ${amount}`, {
    field,
  });
}

function assertCustomName(name: string): void {
  if (isCustomEventName(name)) return;
  throw new HoldfastError(
    "INVALID_FIELD",
    `type must match [a-z][a-z0-9._-]{0,63} and not be an event of the stream's own: got ${JSON.stringify(name.slice(0, 80))}`,
    { field: "/type" },
  );
}

class Draft {
  #row: TaskRow;
  readonly #nowMs: number;
  readonly #steadyMs: number;
  readonly #settings: LifecycleSettings;
  readonly #milestones: MilestoneDraft[] = [];

  constructor(row: TaskRow, { nowMs, steadyMs }: Moment, settings: LifecycleSettings) {
    this.#row = row;
    this.#nowMs = nowMs;
    this.#steadyMs = steadyMs;
    this.#settings = settings;
  }

  change(): Change {
    const moved = { ...this.#row, rev: this.#row.rev + 1, updatedAtMs: this.#nowMs };
    return {
      row: { ...moved, dueAtMs: deadlineMs(moved, this.#settings, this.#steadyMs) },
      milestones: this.#milestones,
    };
  }

  begin(status: "uploading" | "processing", oneShot: boolean = this.#row.oneShot): void {
    this.#set({ seenAtMs: this.#steadyMs, oneShot });
    if (this.#row.status === "pending") this.#status(status);
  }

  declareTotal(total: number): void {
    if (this.#row.total !== null && this.#row.total !== total) {
      throw new HoldfastError(
        "INVALID_FIELD",
        `total of task ${this.#row.id} is already ${this.#row.total}: got ${total}; a declared total is final`,
        { field: "/total" },
      );
    }
    if (total < this.#row.done) {
      throw new HoldfastError(
        "INVALID_FIELD",
        `total must not be below what is stored: got ${total}, stored ${this.#row.done}`,
        { field: "/total" },
      );
    }
    this.#set({ total });
  }

  received(done: number, result: Json): void {
    this.begin("uploading");
    const stored = Math.max(this.#row.done, done);
    this.#set({ done: stored, total: stored });
    if (this.#row.processing === "external") this.#status("processing");
    else this.#completed(result);
  }

  report(report: Report): void {
    this.#fence(report);
    this.begin("processing");
    const leaseUntilMs =
      report.leaseSeconds === undefined
        ? this.#row.leaseUntilMs
        : this.#steadyMs + report.leaseSeconds * 1_000;
    this.#set({ leaseUntilMs });
    switch (report.type) {
      case "progress":
        this.#progress(report.done, report.total);
        break;
      case "stage":
        this.#set({ stage: report.phase === "begin" ? report.stage : null });
        this.#milestone<StageData>("stage", { stage: report.stage, phase: report.phase });
        break;
      case "custom":
        assertCustomName(report.name);
        this.#milestone<CustomData>(report.name, { data: report.data });
        break;
      case "complete":
        this.#completed(report.result);
        break;
      case "fail":
        this.#attemptFailed(report.code, {
          code: report.code,
          message: report.message,
          retryable: report.retryable,
        });
        break;
    }
  }

  lapse(): void {
    const row = this.#row;
    if (isReceiving(row)) {
      const hours = this.#settings.uploadExpiryMs / 3_600_000;
      this.failed({
        code: "UPLOAD_EXPIRED",
        message: `no byte arrived for ${hours} h (upload-expiry); ${row.done} of ${row.total ?? "an unknown number of"} bytes were stored`,
        retryable: true,
      });
      return;
    }
    const lost = {
      code: "PRODUCER_LOST",
      message: "the producer was not heard of in time; its work may be unfinished",
      retryable: true,
    };
    if (row.retryUntilMs !== null) this.failed(row.error ?? lost);
    else this.#attemptFailed("PRODUCER_LOST", lost);
  }

  failed(error: TaskError): void {
    this.#end("failed", { error, retryUntilMs: null });
    this.#ending<FailedData>("failed", { error });
  }

  cancelled(reason: string | null): void {
    this.#end("cancelled", { reason, cancelRequested: true, error: null });
    this.#ending<CancelledData>("cancelled", { reason });
  }

  #completed(result: Json): void {
    this.#end("completed", { result, error: null, done: this.#row.total ?? this.#row.done });
    this.#ending<CompleteData>("complete", { result });
  }

  #progress(done: number, total: number | undefined): void {
    const row = this.#row;
    assertAmount("/data/done", done);
    if (total !== undefined) assertAmount("/data/total", total);
    // An upload's bytes are its own measure; its producer moves only the percentage.
    if (row.kind === "upload") {
      if (total === undefined || total <= 0) return;
      const percentage = Math.min(100, (done / total) * 100);
      this.#set({ producerPercentage: Math.max(row.producerPercentage ?? 0, percentage) });
      return;
    }
    const bound = total ?? row.total;
    const next = Math.max(row.done, bound === null ? done : Math.min(done, bound));
    // More work may turn up than was thought: the bar then waits where it is.
    const producerPercentage = toPercentage(row);
    this.#set({ done: next, total: bound === null ? null : Math.max(bound, next), producerPercentage });
  }

  /** An older attempt is refused, a newer one opens the next. */
  #fence(report: Report): void {
    const row = this.#row;
    if (isReceiving(row)) {
      throw new HoldfastError(
        "INVALID_FIELD",
        `task ${row.id} is an upload that is still ${row.status}; a producer may report once its bytes are stored`,
        { field: "/type" },
      );
    }
    const attempt = report.attempt ?? (row.retryUntilMs === null ? row.attempt : row.attempt + 1);
    if (attempt < row.attempt || (attempt === row.attempt && row.retryUntilMs !== null)) {
      throw new HoldfastError(
        "STALE_ATTEMPT",
        `attempt ${attempt} of task ${row.id} is over; the current one is ${row.attempt + (row.retryUntilMs === null ? 0 : 1)}`,
        { field: "/attempt" },
      );
    }
    if (attempt === row.attempt) return;
    if (attempt > row.maxAttempts) {
      throw new HoldfastError(
        "INVALID_FIELD",
        `attempt must not be above maxAttempts: got ${attempt}, bound ${row.maxAttempts}`,
        { field: "/attempt" },
      );
    }
    if (row.retryUntilMs === null) {
      // The queue gave the job to another worker before we had noticed that the first was gone.
      this.#milestone<AttemptData>("attempt", { reason: "SUPERSEDED", error: null, retryInMs: 0 });
    }
    const restart = row.kind === "task" ? { done: 0, producerPercentage: null } : {};
    this.#set({ attempt, retryUntilMs: null, error: null, stage: null, leaseUntilMs: null, ...restart });
  }

  #attemptFailed(reason: string, error: TaskError): void {
    if (!error.retryable || this.#row.attempt >= this.#row.maxAttempts) {
      this.failed(error);
      return;
    }
    const retryInMs = this.#settings.retryGraceMs;
    this.#milestone<AttemptData>("attempt", { reason, error, retryInMs });
    this.#set({ error, stage: null, leaseUntilMs: null, retryUntilMs: this.#steadyMs + retryInMs });
  }

  #status(status: TaskStatus): void {
    const previous = this.#row.status;
    this.#set({ status, seenAtMs: this.#steadyMs });
    this.#milestone<StatusData>("status", { status, previous });
  }

  #end(status: "completed" | "failed" | "cancelled", fields: Partial<TaskRow>): void {
    this.#set({
      ...fields,
      status,
      stage: null,
      endedAtMs: this.#nowMs,
      leaseUntilMs: null,
      retryUntilMs: null,
    });
  }

  #set(fields: Partial<TaskRow>): void {
    this.#row = { ...this.#row, ...fields };
  }

  #milestone<Data>(event: string, data: Omit<Data, "taskId" | "attempt" | "timestamp">): void {
    const { id: taskId, attempt } = this.#row;
    const whole = { taskId, attempt, ...data, timestamp: Math.floor(this.#nowMs / 1_000) };
    this.#milestones.push({ event, data: JSON.stringify(whole), ending: false });
  }

  #ending<Data>(event: string, data: Omit<Data, "taskId" | "timestamp">): void {
    const whole = { taskId: this.#row.id, timestamp: Math.floor(this.#nowMs / 1_000), ...data };
    this.#milestones.push({ event, data: JSON.stringify(whole), ending: true });
  }
}
