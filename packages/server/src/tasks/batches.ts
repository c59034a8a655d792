/**
 * Batches: named sets of tasks, and the sums over them.
 *
 * The sums of a batch that somebody watches are kept up to date row by row (`Tally`); those of one that nobody watches are
 * added up when asked for. [wire: batch-sums]
 */
import { randomBytes } from "node:crypto";
import {
  isTerminal,
  type Batch,
  type BatchData,
  type BatchId,
  type Json,
  type TaskId,
} from "@holdfast/protocol";
import { encodeFrame, Latest, toFrameBytes, type Hub } from "@holdfast/stream";
import { HoldfastError } from "../errors.js";
import type { Store } from "../stores/store.js";
import type { BatchRow, TaskRow } from "./task-row.js";
import { toSeconds } from "./task-wire.js";
import { assertMetadata } from "./new-task.js";
import { BATCH_TOPIC, toMilestone } from "./milestone-frame.js";
import { batchChannel } from "./task-channels.js";
import type { Tasks } from "./tasks.js";

export interface BatchesOptions {
  readonly store: Store;
  readonly tasks: Tasks;
  readonly hub: Hub;
  readonly basePath: string;
  readonly now: () => number;
}

// Rows read at a time when a batch is added up.
const PAGE = 500;

export class Batches {
  readonly #options: BatchesOptions;
  readonly #tallies = new Map<BatchId, Tally>();
  readonly #unsubscribe: readonly (() => void)[];

  constructor(options: BatchesOptions) {
    const { store, tasks, hub } = options;
    this.#options = options;
    this.#unsubscribe = [
      tasks.onRow((row) => this.#moved(row)),
      store.onBatchEnd((id, end) => hub.publishMilestone([batchChannel(id)], toMilestone(end))),
    ];
  }

  async create(batch: {
    readonly id?: BatchId | undefined;
    readonly metadata: { readonly [key: string]: Json };
  }): Promise<{ readonly batch: Batch; readonly created: boolean }> {
    assertMetadata(batch.metadata);
    const id = batch.id ?? (randomBytes(16).toString("base64url") as BatchId);
    const { row, created } = await this.#options.store.createBatch({
      id,
      closed: false,
      end: null,
      metadata: batch.metadata,
      createdAtMs: this.#options.now(),
    });
    return { batch: await this.#toWire(row), created };
  }

  /** Throws BATCH_NOT_FOUND. */
  async read(id: BatchId): Promise<Batch> {
    return await this.#toWire(await this.row(id));
  }

  /** No task can be added from now on; streams of it end when all have ended. Throws BATCH_NOT_FOUND. */
  async close(id: BatchId): Promise<Batch> {
    const row = await this.#options.store.closeBatch(id);
    if (row === undefined) throw notFound(id);
    return await this.#toWire(row);
  }

  /** Throws BATCH_NOT_FOUND. */
  async row(id: BatchId): Promise<BatchRow> {
    const row = await this.#options.store.readBatch(id);
    if (row === undefined) throw notFound(id);
    return row;
  }

  /** Every task of the batch, in order of creation. */
  async rows(id: BatchId): Promise<readonly TaskRow[]> {
    const rows: TaskRow[] = [];
    for (;;) {
      const after = rows.at(-1)?.id;
      // oxlint-disable-next-line no-await-in-loop -- a page begins where the last ended
      const page = await this.#options.tasks.list({ batchId: id, after, limit: PAGE });
      rows.push(...page);
      if (page.length < PAGE) return rows;
    }
  }

  /** Keeps the sums until the returned function is called. */
  watch(id: BatchId, rows: readonly TaskRow[]): () => void {
    const tally = this.#tallies.get(id) ?? new Tally(id);
    this.#tallies.set(id, tally);
    for (const row of rows) tally.add(row);
    tally.watchers += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      tally.watchers -= 1;
      if (tally.watchers === 0) this.#tallies.delete(id);
    };
  }

  /** The `batch` event of a watched batch; undefined when nobody watches it. */
  latest(id: BatchId): Latest | undefined {
    return this.#tallies.get(id)?.latest();
  }

  stop(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  #moved(row: TaskRow): void {
    if (row.batchId === null) return;
    const tally = this.#tallies.get(row.batchId);
    if (tally === undefined) return;
    tally.add(row);
    this.#options.hub.publishLatest([batchChannel(row.batchId)], tally.latest());
  }

  async #toWire(row: BatchRow): Promise<Batch> {
    const tally = new Tally(row.id);
    for (const task of await this.rows(row.id)) tally.add(task);
    const self = `${this.#options.basePath}/api/v1/batches/${row.id}`;
    return {
      ...tally.sums(),
      closed: row.closed,
      metadata: row.metadata,
      createdAt: toSeconds(row.createdAtMs),
      links: { self, stream: `${self}/stream` },
    };
  }
}

function notFound(id: BatchId): HoldfastError {
  return new HoldfastError(
    "BATCH_NOT_FOUND",
    `no batch has the id ${id}; a batch exists once it was created or a task named it`,
  );
}

interface Share {
  readonly rev: number;
  readonly status: TaskRow["status"];
  readonly done: number;
  readonly total: number | null;
}

/** Sums over the newest row of each task; adding a row again replaces it. */
class Tally {
  readonly #id: BatchId;
  readonly #shares = new Map<TaskId, Share>();
  watchers = 0;
  #revision = 0;
  #totalUnknown = 0;
  #total = 0;
  #done = 0;
  readonly #ended = { completed: 0, failed: 0, cancelled: 0 };

  constructor(id: BatchId) {
    this.#id = id;
  }

  add(row: TaskRow): void {
    const before = this.#shares.get(row.id);
    if (before !== undefined && before.rev >= row.rev) return;
    if (before !== undefined) this.#count(before, -1);
    this.#shares.set(row.id, row);
    this.#count(row, 1);
    this.#revision += 1;
  }

  latest(): Latest {
    const sums = this.sums();
    // The revision is the tally's own: it lives as long as somebody watches, and so do the connections that compare it.
    return new Latest(BATCH_TOPIC, this.#revision, () =>
      toFrameBytes(encodeFrame({ event: "batch", data: JSON.stringify(sums) })),
    );
  }

  sums(): BatchData {
    const total = this.#totalUnknown > 0 ? null : this.#total;
    const tasks = this.#shares.size;
    const ended = this.#ended.completed + this.#ended.failed + this.#ended.cancelled;
    return {
      batchId: this.#id,
      tasks,
      ...this.#ended,
      total,
      uploaded: this.#done,
      percentage: toBatchPercentage(this.#done, total, tasks > 0 && ended === tasks),
    };
  }

  #count(share: Share, sign: 1 | -1): void {
    // A failed or cancelled task will bring no more than it has: its share of the whole is what was stored.
    const total = share.status === "failed" || share.status === "cancelled" ? share.done : share.total;
    if (total === null) this.#totalUnknown += sign;
    else this.#total += sign * total;
    this.#done += sign * share.done;
    if (isTerminal(share.status)) this.#ended[share.status] += sign;
  }
}

/** 100 only when every task has ended; null while a total is unknown. */
function toBatchPercentage(done: number, total: number | null, ended: boolean): number | null {
  if (ended) return 100;
  if (total === null) return null;
  return total === 0 ? 0 : Math.min(99.9, Math.floor((done / total) * 1_000) / 10);
}
