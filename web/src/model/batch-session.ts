/**
 * The batch of this page and its one stream: which batch it is, its tasks, and how the connection stands.
 *
 * The id outlives the page, so a reload finds every task again in the stream's snapshots. A batch that the server no longer knows is
 * replaced by a new one; one that somebody closed keeps being shown until the next begins. Refusals (no token) end it loudly. Called by
 * board.ts.
 */
import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import {
  HoldfastClientError,
  type BatchWatch,
  type ConnectionInfo,
  type Task,
  type TaskId,
} from "@holdfast/client";
import type { PageStorage } from "./page-storage.js";

export type SessionState =
  /** No batch yet: being created, at `retryAtMs` once more. */
  | { readonly kind: "creating"; readonly retryAtMs: number | null }
  | { readonly kind: "watching"; readonly connection: ConnectionInfo }
  /** Somebody closed the batch and all of it ended. */
  | { readonly kind: "ended" }
  | { readonly kind: "refused"; readonly error: HoldfastClientError };

export interface BatchSessionOptions {
  readonly createBatch: () => Promise<string>;
  readonly watch: (batchId: string) => BatchWatch;
  readonly storage: PageStorage;
  readonly now: () => number;
  readonly setTimer: (act: () => void, delayMs: number) => void;
}

const FIRST_RETRY_MS = 1000;
const MAX_RETRY_MS = 15_000;

export class BatchSession {
  readonly #options: BatchSessionOptions;
  readonly #state: Signal<SessionState> = signal({ kind: "creating", retryAtMs: null });
  readonly #batchId: Signal<string | null> = signal(null);
  readonly #tasks: Signal<ReadonlyMap<TaskId, Task>> = signal(new Map());
  /** When bytes of a task were last seen to move, Unix ms: somebody is sending it. */
  readonly movedAtMs: Map<string, number> = new Map();
  /** Of batches before this one that are still shown. */
  #kept: ReadonlyMap<TaskId, Task> = new Map();
  #watch: BatchWatch | null = null;
  #generation = 0;

  constructor(options: BatchSessionOptions) {
    this.#options = options;
  }

  get state(): ReadonlySignal<SessionState> {
    return this.#state;
  }
  /** Null while there is none that takes uploads. */
  get batchId(): ReadonlySignal<string | null> {
    return this.#batchId;
  }
  get tasks(): ReadonlySignal<ReadonlyMap<TaskId, Task>> {
    return this.#tasks;
  }

  start(): void {
    const known = this.#options.storage.read("batch");
    if (known === null) void this.#create();
    else this.#open(known);
  }

  /** A new batch from here on. `keep`: what was seen so far stays on the list. */
  renew(keep: boolean): void {
    this.#leave();
    this.#kept = keep ? this.#tasks.value : new Map();
    this.#tasks.value = this.#kept;
    void this.#create();
  }

  #leave(): void {
    this.#generation++;
    this.#watch?.close();
    this.#watch = null;
    this.#batchId.value = null;
    this.#options.storage.remove("batch");
  }

  async #create(failures = 0): Promise<void> {
    const generation = this.#generation;
    this.#state.value = { kind: "creating", retryAtMs: null };
    try {
      const batchId = await this.#options.createBatch();
      if (generation !== this.#generation) return;
      this.#options.storage.write("batch", batchId);
      this.#open(batchId);
    } catch (error) {
      if (generation !== this.#generation) return;
      if (error instanceof HoldfastClientError && isRefusal(error.status)) {
        this.#state.value = { kind: "refused", error };
        return;
      }
      const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
      this.#state.value = { kind: "creating", retryAtMs: this.#options.now() + delayMs };
      this.#options.setTimer(() => {
        if (generation === this.#generation) void this.#create(failures + 1);
      }, delayMs);
    }
  }

  #open(batchId: string): void {
    let watch: BatchWatch;
    try {
      watch = this.#options.watch(batchId);
    } catch {
      // What stood in the storage is no batch id.
      this.#leave();
      void this.#create();
      return;
    }
    const generation = ++this.#generation;
    this.#watch = watch;
    const read = (): void => {
      if (generation === this.#generation) this.#read(watch);
    };
    watch.subscribe(read);
    watch.done.then(
      () => {
        if (generation !== this.#generation) return;
        this.#leave();
        this.#state.value = { kind: "ended" };
      },
      (error: unknown) => {
        if (generation === this.#generation) this.#lose(error);
      },
    );
    this.#batchId.value = batchId;
    read();
  }

  #lose(error: unknown): void {
    const status = error instanceof HoldfastClientError ? error.status : undefined;
    if (status === 404 || status === 410) this.renew(true);
    else if (error instanceof HoldfastClientError) {
      // The batch itself may be fine, so its id is kept for a reload with a better token.
      this.#generation++;
      this.#watch = null;
      this.#batchId.value = null;
      this.#state.value = { kind: "refused", error };
    } else throw error;
  }

  #read(watch: BatchWatch): void {
    const before = this.#tasks.value;
    const { tasks, connection } = watch;
    this.#state.value = { kind: "watching", connection };
    for (const [id, { uploaded }] of tasks) {
      const seen = before.get(id);
      if (seen !== undefined && seen.uploaded < uploaded) this.movedAtMs.set(id, this.#options.now());
    }
    this.#tasks.value = this.#kept.size === 0 ? tasks : new Map([...this.#kept, ...tasks]);
  }
}

function isRefusal(status: number | undefined): boolean {
  return status === 401 || status === 403 || status === 404 || status === 405;
}
