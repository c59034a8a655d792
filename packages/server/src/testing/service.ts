/**
 * The service without its door: a store in memory, tasks, batches, streams, and sinks of paper. For unit tests.
 */
import { StreamEngine, type SessionReport } from "@holdfast/stream";
import type { BatchId, TaskId } from "@holdfast/protocol";
import { PaperSink } from "@holdfast/stream/testing";
import { MemoryStore } from "../stores/memory-store.js";
import { Batches } from "../tasks/batches.js";
import { Controls } from "../tasks/controls.js";
import { Deadlines } from "../tasks/deadlines.js";
import { Deliveries } from "../tasks/deliveries.js";
import type { LifecycleSettings } from "../tasks/lifecycle.js";
import type { NewTask } from "../tasks/new-task.js";
import { Revisions } from "../tasks/revisions.js";
import { Streams, type PollRequest, type StreamOutcome, type StreamRequest } from "../tasks/streams.js";
import type { TaskRow } from "../tasks/task-row.js";
import { Tasks } from "../tasks/tasks.js";

export interface Watching {
  readonly sink: PaperSink;
  readonly outcome: StreamOutcome;
  readonly reports: SessionReport[];
}

export const SETTINGS: LifecycleSettings = {
  uploadExpiryMs: 86_400_000,
  processingTimeoutMs: 3_600_000,
  retentionMs: 604_800_000,
  retryGraceMs: 300_000,
};

export const HISTORY_MS = 86_400_000;

export class Service {
  /** `steppedBackMs`: by how much the time of day was set back so far; what is measured goes on. */
  readonly clock: { nowMs: number; steppedBackMs: number };
  #connections = 0;
  readonly store: MemoryStore;
  readonly errors: unknown[] = [];
  readonly removed: TaskId[] = [];
  readonly engine: StreamEngine;
  readonly tasks: Tasks;
  readonly batches: Batches;
  readonly deliveries: Deliveries;
  readonly streams: Streams;
  readonly controls: Controls;
  readonly deadlines: Deadlines;

  /** `after`: the service that died and left its store. */
  constructor(historyPerTask?: number, after?: Service) {
    this.clock = after?.clock ?? { nowMs: 1_700_000_000_000, steppedBackMs: 0 };
    const now = (): number => this.clock.nowMs;
    this.store = after?.store ?? new MemoryStore(now, historyPerTask);
    const onError = (error: unknown): void => void this.errors.push(error);
    const { store } = this;
    this.engine = new StreamEngine({
      heartbeatMs: 10_000,
      progressIntervalMs: 0,
      maxQueueBytes: 65_536,
      maxStreamAgeMs: 1_800_000,
      reconnectMs: 1_000,
      onError,
      // Else one stream in some thousand beats within the first milliseconds, amid what a test expects.
      random: () => 0,
    });
    const { hub } = this.engine;
    const monotonicMs = (): number => this.clock.nowMs + this.clock.steppedBackMs;
    this.tasks = new Tasks({ store, hub, settings: SETTINGS, basePath: "", now, monotonicMs, onError });
    this.batches = new Batches({ store, tasks: this.tasks, hub, basePath: "", now });
    this.deliveries = new Deliveries({ store, now, onError });
    const revisions = new Revisions();
    this.tasks.onRow(({ id }) => revisions.changed(id));
    this.streams = new Streams({
      deliveries: this.deliveries,
      engine: this.engine,
      store,
      tasks: this.tasks,
      batches: this.batches,
      revisions,
      heartbeatMs: 10_000,
      progressIntervalMs: 0,
      reconnectMs: 1_000,
      now,
      onError,
    });
    this.controls = new Controls(this.tasks);
    this.deadlines = new Deadlines({
      store,
      tasks: this.tasks,
      lapse: async ({ id }) => await this.tasks.command(id, { type: "lapse" }),
      alsoLook: async () => undefined,
      removeContent: async (row) => void this.removed.push(row.id),
      retentionMs: SETTINGS.retentionMs,
      historyMs: HISTORY_MS,
      now,
      monotonicMs,
      onError,
    });
  }

  /** Sets the time of day; below 0 forward. */
  stepBack(ms: number): void {
    this.clock.nowMs -= ms;
    this.clock.steppedBackMs += ms;
  }

  async upload(fields: Partial<NewTask> = {}): Promise<TaskRow> {
    return await this.tasks.create({
      kind: "upload",
      filename: "a.bin",
      total: 100,
      unit: "bytes",
      metadata: {},
      batchId: null,
      processing: "none",
      maxAttempts: 1,
      blobKey: "00",
      tusMetadata: null,
      ...fields,
    });
  }

  async job(fields: Partial<NewTask> = {}): Promise<TaskRow> {
    return await this.upload({ kind: "task", filename: null, unit: "rows", blobKey: null, ...fields });
  }

  async receive(id: TaskId, done = 100): Promise<void> {
    const hold = await this.tasks.hold(id);
    await this.tasks.command(id, { type: "begin", oneShot: false });
    hold.stored(done);
    if (done === 100) await this.tasks.command(id, { type: "received", done, result: null });
    hold.release();
  }

  async watch(id: TaskId, lastEventId?: string, poll?: PollRequest): Promise<Watching> {
    return await this.#open(
      { lastEventId, poll },
      async (request) => await this.streams.openTask(id, request),
    );
  }

  async watchBatch(id: BatchId, lastEventId?: string, poll?: PollRequest): Promise<Watching> {
    return await this.#open(
      { lastEventId, poll },
      async (request) => await this.streams.openBatch(id, request),
    );
  }

  async watchMany(ids: readonly string[], lastEventId?: string, poll?: PollRequest): Promise<Watching> {
    return await this.#open(
      { lastEventId, poll },
      async (request) => await this.streams.openMany(ids, request),
    );
  }

  async close(): Promise<void> {
    await this.deliveries.store();
    await this.die();
    await this.store.close();
  }

  /** As a process does: its streams are cut by the caller, its store stays. */
  async die(): Promise<void> {
    await this.deadlines.close();
    this.batches.stop();
    await this.tasks.close();
  }

  async #open(
    asked: Pick<StreamRequest, "lastEventId" | "poll">,
    open: (request: StreamRequest) => Promise<StreamOutcome>,
  ): Promise<Watching> {
    const sink = new PaperSink();
    const reports: SessionReport[] = [];
    this.#connections += 1;
    const outcome = await open({
      connection: { id: `c${this.#connections}`, transport: asked.poll === undefined ? "sse" : "poll" },
      ...asked,
      sink: () => sink,
      expiresAtMs: null,
      onClose: (report) => void reports.push(report),
    });
    await settled();
    return { sink, outcome, reports };
  }
}

/** Resolves when everything that waits only for promises has run. */
export async function settled(): Promise<void> {
  await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** The id in a frame. */
export function idOf(frame: string | undefined): string | undefined {
  return /^id: (.*)$/m.exec(frame ?? "")?.[1];
}
