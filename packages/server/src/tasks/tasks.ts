/**
 * The tasks of this server: the one place where a task changes.
 *
 *   command → lifecycle (pure) → store.commit → store's live edge → hub → sessions
 *
 * Promises
 * - Stored first, published second: milestones reach watchers from the store's live edge, never from a caller.
 * - Every reader sees the same row: `read`, snapshot and `progress` come from one place.
 * - Progress costs no store call: it moves the row in memory, is told to watchers, and is stored once a second.
 * - A task that nobody holds or watches is not in memory.
 * Refuses: to know sockets, files, HTTP, or which store it has.
 * Called by: uploads/ (bytes), http/ (routes), task-handle.ts (jobs of the host), deadlines.ts.
 */
import { isTerminal, type Task, type TaskId } from "@holdfast/protocol";
import { encodeFrame, Latest, toFrameBytes, type Hub } from "@holdfast/stream";
import { HoldfastError } from "../errors.js";
import type { Committed, IdempotencyKey, Store, TaskQuery } from "../stores/store.js";
import {
  applyCommand,
  deadlineMs,
  isProgress,
  type Command,
  type LifecycleSettings,
  type Moment,
} from "./lifecycle.js";
import { LiveTask, type Clocks } from "./live-task.js";
import { assertMetadata, newTaskRow, type NewTask } from "./new-task.js";
import { assertRepeated, type Applied } from "./repeated-request.js";
import { channelsOf } from "./task-channels.js";
import type { TaskRow } from "./task-row.js";
import { toProgress, toTask } from "./task-wire.js";
import { toMilestone } from "./milestone-frame.js";

export interface TasksOptions extends Clocks {
  readonly store: Store;
  readonly hub: Hub;
  readonly settings: LifecycleSettings;
  /** Where the service is mounted, without a trailing slash. */
  readonly basePath: string;
  readonly onError: (error: unknown, doing: string) => void;
}

/** Keeps a task in memory while bytes or reports for it come in. */
export interface TaskHold {
  /** The newest row, also of this very moment. */
  readonly row: TaskRow;
  /** Aborted when the task has ended. */
  readonly ended: AbortSignal;
  /** Says how many bytes are stored now. Never throws; what goes backward or beyond the total is ignored. */
  stored(done: number): void;
  /** Says what a start has found stored: the one place where `done` may be less than it was. */
  recovered(done: number): void;
  release(): void;
}

// A crash forgets at most this much of a producer's progress; uploads lose nothing, their file's length is the truth.
const SAVE_EVERY_MS = 1_000;
// A stalled task is told to its watchers twice a second until its speed is 0.
const DECAY_EVERY_MS = 500;
// Time in memory after the last touch: long enough for a client that polls every few seconds.
const KEEP_MS = 30_000;
// Two nodes at one task give way to each other; five lost races in a row mean that something else is wrong.
const MAX_RACES = 5;

export class Tasks {
  readonly #options: TasksOptions;
  readonly #live = new Map<TaskId, LiveTask>();
  readonly #loading = new Map<TaskId, Promise<LiveTask>>();
  readonly #listeners = new Set<(row: TaskRow) => void>();
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #unsubscribe: () => void;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: TasksOptions) {
    this.#options = options;
    this.#unsubscribe = options.store.subscribe((committed) => this.#committed(committed));
    this.#every(SAVE_EVERY_MS, () => this.#save());
    this.#every(DECAY_EVERY_MS, () => this.#decay());
    this.#every(KEEP_MS, () => this.#sweep());
  }

  /** Tasks in memory. */
  get size(): number {
    return this.#live.size;
  }

  /** Throws INVALID_FIELD, ID_TAKEN, BATCH_CLOSED. The batch is created when it does not exist. */
  async create(task: NewTask): Promise<TaskRow> {
    assertMetadata(task.metadata);
    const nowMs = this.#options.now();
    if (task.batchId !== null) {
      const { row: batch } = await this.#options.store.createBatch({
        id: task.batchId,
        closed: false,
        end: null,
        metadata: {},
        createdAtMs: nowMs,
      });
      if (batch.closed) throw batchClosed(batch.id);
    }
    const { row, milestones } = newTaskRow(task, nowMs);
    const result = await this.#options.store.commit({
      row: { ...row, dueAtMs: deadlineMs(row, this.#options.settings, this.#options.monotonicMs()) },
      expectedVersion: 0,
      milestones,
    });
    if (result.kind === "closed") throw batchClosed(row.batchId);
    if (result.kind !== "committed") {
      throw new HoldfastError(
        "ID_TAKEN",
        `id ${row.id} names a task that exists or existed; choose another`,
        {
          field: "/id",
        },
      );
    }
    return result.row;
  }

  /** Throws TASK_NOT_FOUND, TASK_EXPIRED. */
  async read(id: TaskId): Promise<TaskRow> {
    return (await this.#load(id)).row;
  }

  /** The row as it is in memory; undefined when it is not held there. */
  peek(id: TaskId): TaskRow | undefined {
    return this.#live.get(id)?.row;
  }

  /** Since the last byte or report; null when there was none, or the task is not in memory. */
  producerSeenMs(id: TaskId): number | null {
    const seenAtMs = this.peek(id)?.seenAtMs ?? null;
    return seenAtMs === null ? null : Math.max(0, this.#options.monotonicMs() - seenAtMs);
  }

  async list(query: TaskQuery): Promise<readonly TaskRow[]> {
    const rows = await this.#options.store.listTasks(query);
    return rows.map((row) => this.#live.get(row.id)?.row ?? row);
  }

  toWire(row: TaskRow): Task {
    return toTask(row, this.#speed(row), this.#options.basePath);
  }

  /** The `progress` event of the row; undefined when it has ended and has none. */
  latest(row: TaskRow): Latest | undefined {
    return isTerminal(row.status) ? undefined : this.#latest(row);
  }

  /** Throws what the lifecycle refuses. */
  async command(id: TaskId, command: Command): Promise<TaskRow> {
    return (await this.commands(id, [command])).row;
  }

  /** All or none, as one commit; progress alone is no commit. Throws also IDEMPOTENCY_CONFLICT. */
  async commands(id: TaskId, commands: readonly Command[], idempotency?: IdempotencyKey): Promise<Applied> {
    const live = await this.#load(id);
    const { store, settings } = this.#options;
    return await live.exclusively(async () => {
      for (let race = 0; race < MAX_RACES; race += 1) {
        const from = live.row;
        if (idempotency !== undefined) {
          // In the queue, and before the lifecycle is asked: the first try may have been under way until now, and have ended the task.
          // oxlint-disable-next-line no-await-in-loop -- a lost race is tried again in order
          const before = await store.readIdempotency(idempotency.key);
          if (before !== undefined) return { row: live.row, before: assertRepeated(before, idempotency) };
        }
        let row = from;
        const milestones = [];
        for (const command of commands) {
          const change = applyCommand(row, command, this.#moment(), settings);
          row = change.row;
          milestones.push(...change.milestones);
        }
        // oxlint-disable-next-line no-await-in-loop -- likewise
        const result = await store.commit({
          row: { ...row, version: from.version + 1 },
          expectedVersion: from.version,
          milestones,
          idempotency,
        });
        if (result.kind === "committed") return { row: result.row };
        if (result.kind === "repeated" && idempotency !== undefined)
          return { row: live.row, before: assertRepeated(result.before, idempotency) };
        // oxlint-disable-next-line no-await-in-loop -- likewise
        const newer = await store.readTask(id);
        if (newer === undefined || newer === "expired") break;
        live.replace(newer);
      }
      throw new HoldfastError("STORE_UNAVAILABLE", `task ${id} changed too fast to be changed; try again`, {
        retryAfterSeconds: 1,
      });
    });
  }

  /** Progress of a producer, without a store call; false when it needs `commands` because it begins something. */
  async progress(id: TaskId, command: Command): Promise<boolean> {
    const live = await this.#load(id);
    const change = applyCommand(live.row, command, this.#moment(), this.#options.settings);
    if (!isProgress(live.row, change)) return false;
    this.#move(live, (row) => {
      // A commit may have come between: what it refuses, or what would begin something by now, is no progress any more.
      try {
        const later = applyCommand(row, command, this.#moment(), this.#options.settings);
        return isProgress(row, later) ? later.row : row;
      } catch (error) {
        if (error instanceof HoldfastError) return row;
        throw error;
      }
    });
    return true;
  }

  /** Keeps the task in memory until released. Throws TASK_NOT_FOUND, TASK_EXPIRED. */
  async hold(id: TaskId): Promise<TaskHold> {
    const live = await this.#load(id);
    const { settings, monotonicMs } = this.#options;
    live.holds += 1;
    let released = false;
    return {
      get row() {
        return live.row;
      },
      ended: live.ended,
      stored: (done) => {
        this.#move(live, (row) => {
          const bounded = row.total === null ? done : Math.min(done, row.total);
          const seenAtMs = monotonicMs();
          const next = { ...row, done: Math.max(row.done, bounded), seenAtMs };
          return { ...next, dueAtMs: deadlineMs(next, settings, seenAtMs) };
        });
      },
      recovered: (done) => {
        this.#move(live, (row) => ({ ...row, done }));
      },
      release: () => {
        if (released) return;
        released = true;
        live.holds -= 1;
      },
    };
  }

  /** Marks the bytes of an ended upload as removed; its task stays what it is. */
  async forgetContent(id: TaskId): Promise<TaskRow> {
    const live = await this.#load(id);
    return await live.exclusively(async () => {
      const { row } = live;
      const result = await this.#options.store.commit({
        row: { ...row, blobKey: null, rev: row.rev + 1, version: row.version + 1 },
        expectedVersion: row.version,
        milestones: [],
      });
      return result.kind === "committed" ? result.row : live.row;
    });
  }

  /** Streams open now that carry this task, those of its batch among them. */
  watchers(row: TaskRow): number {
    return channelsOf(row).reduce((sum, name) => sum + this.#options.hub.listeners(name), 0);
  }

  /** Calls back with each new number of watchers until the returned function is called. */
  onWatchers(row: TaskRow, listener: (watchers: number) => void): () => void {
    return this.#options.hub.observe(channelsOf(row), () => listener(this.watchers(row)));
  }

  /** Removes an ended task for good. */
  async expire(id: TaskId): Promise<void> {
    await this.#options.store.expireTask(id);
    this.#live.delete(id);
  }

  /** Hears every new row, also those that only progress moved. */
  onRow(listener: (row: TaskRow) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Stores what is not stored yet and stops. The store stays open. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#save();
    this.#unsubscribe();
  }

  async #load(id: TaskId): Promise<LiveTask> {
    const live = this.#live.get(id);
    if (live !== undefined) return live;
    // Without an await before it: two at once must not get two rows that don't know of each other.
    const loading = this.#loading.get(id) ?? this.#readLive(id).finally(() => this.#loading.delete(id));
    this.#loading.set(id, loading);
    return await loading;
  }

  async #readLive(id: TaskId): Promise<LiveTask> {
    const row = await this.#options.store.readTask(id);
    if (row === undefined) throw new HoldfastError("TASK_NOT_FOUND", `no task has the id ${id}`);
    if (row === "expired") {
      throw new HoldfastError("TASK_EXPIRED", `task ${id} ended longer ago than tasks are kept (retention)`);
    }
    return this.#keep(row);
  }

  #moment(): Moment {
    return { nowMs: this.#options.now(), steadyMs: this.#options.monotonicMs() };
  }

  #speed(row: TaskRow): number {
    return this.#live.get(row.id)?.speed ?? 0;
  }

  #move(live: LiveTask, change: (row: TaskRow) => TaskRow): void {
    if (live.move(change)) this.#tell(live);
  }

  #tell({ row }: LiveTask): void {
    for (const listener of this.#listeners) listener(row);
    this.#publish(row);
  }

  #keep(row: TaskRow): LiveTask {
    const live = new LiveTask(row, this.#options, (moved) => this.#tell(moved));
    this.#live.set(row.id, live);
    return live;
  }

  #committed({ row, milestones }: Committed): void {
    const { hub } = this.#options;
    const channels = channelsOf(row);
    const watched = channels.some((name) => hub.listeners(name) > 0);
    this.#live.get(row.id)?.replace(row);
    // Sums first: a stream that ends with this milestone has them at its end.
    for (const listener of this.#listeners) listener(row);
    if (watched) {
      // Whoever watches its batch must be able to show a task that was made this moment.
      if (!this.#live.has(row.id)) this.#keep(row);
      for (const milestone of milestones) hub.publishMilestone(channels, toMilestone(milestone));
    }
    if (!isTerminal(row.status)) this.#publish(row);
  }

  #publish(row: TaskRow): void {
    const { hub } = this.#options;
    const channels = channelsOf(row);
    const live = this.#live.get(row.id);
    if (live !== undefined) live.toldSpeed = live.speed;
    if (!channels.some((name) => hub.listeners(name) > 0)) return;
    hub.publishLatest(channels, this.#latest(row));
  }

  #latest(row: TaskRow): Latest {
    return new Latest(row.id, row.rev, () => {
      const data = JSON.stringify(toProgress(row, this.#speed(row), this.#options.now()));
      return toFrameBytes(encodeFrame({ event: "progress", data }));
    });
  }

  #every(intervalMs: number, run: () => Promise<void> | void): void {
    const timer = setInterval(() => {
      Promise.resolve(run()).catch((error: unknown) => this.#options.onError(error, "tasks upkeep"));
    }, intervalMs);
    timer.unref();
    this.#timers.push(timer);
  }

  async #save(): Promise<void> {
    const dirty = [...this.#live.values()].filter((live) => live.dirty);
    if (dirty.length === 0) return await this.#saving;
    for (const live of dirty) live.dirty = false;
    this.#saving = this.#options.store
      .saveProgress(dirty.map((live) => live.progress()))
      .catch((error: unknown) => {
        for (const live of dirty) live.dirty = true;
        throw error;
      });
    await this.#saving;
  }

  #decay(): void {
    for (const live of this.#live.values()) {
      if (live.toldSpeed > 0 && live.untouchedMs >= DECAY_EVERY_MS) this.#move(live, (row) => row);
    }
  }

  #sweep(): void {
    for (const [id, live] of this.#live) {
      const watched = channelsOf(live.row).some((name) => this.#options.hub.listeners(name) > 0);
      if (live.idle && !watched && live.untouchedMs > KEEP_MS) this.#live.delete(id);
    }
  }
}

function batchClosed(id: string | null): HoldfastError {
  return new HoldfastError("BATCH_CLOSED", `batch ${id ?? ""} is closed; name another batch or none`, {
    field: "/batchId",
  });
}
