/**
 * Sends a file by tus so that it arrives: over broken connections, pauses, restarts of the server and reloads of the page.
 *
 * It promises that `id` resolves once the server knows the task, so that a watch begun then finds it; that an upload created by a
 * request whose answer was lost is gone on with, not made twice; that a refusal is an error with the server's problem document. It
 * does not say how much is stored: the task's stream does. Retries are decided here; each attempt is a fresh UploadAttempt.
 */
import { isTerminal, parseTaskId, type Task, type TaskId } from "@holdfast/protocol";
import { backoffDelayMs } from "./backoff.js";
import { cancelUntilGone } from "./cancel-upload.js";
import { ChunkSize } from "./chunk-size.js";
import { HoldfastClientError } from "./client-error.js";
import { SYSTEM_ENVIRONMENT, type Environment } from "./environment.js";
import { HoldfastApi, resolveBaseUrl } from "./holdfast-api.js";
import { randomTaskId } from "./random-task-id.js";
import { callReporting } from "./report-error.js";
import { INTERNALS } from "./stream-options.js";
import { toTusSource, type TusSource } from "./tus-source.js";
import { UploadAttempt, type LastRequest } from "./upload-attempt.js";
import { isBodyBound, isFinal, isReadable, toClientError, toEndingError } from "./upload-failure.js";
import type { UploadHandle, UploadRetry, UploadState } from "./upload-handle.js";
import { toApiOptions, toTusMetadata, type UploadOptions, type UploadSource } from "./upload-options.js";
import { UploadRecord } from "./upload-record.js";
import { listenForWake } from "./wake.js";
import { watchTask, type TaskWatch } from "./watch-task.js";

// 409: the offsets differ, asking again tells; 423: the attempt before has not let go yet.
const RETRYABLE_TUS: ReadonlySet<number> = new Set([409, 423]);

/** URLs that an upload of this page is working on: a second one of the same file must not fight for it. */
const active = new Set<string>();

export class UploadJob implements UploadHandle {
  readonly id: Promise<TaskId>;
  readonly #done: Promise<Task>;
  readonly #source: TusSource;
  readonly #chunk: ChunkSize;
  readonly #options: UploadOptions;
  readonly #environment: Environment;
  readonly #api: HoldfastApi;
  readonly #endpoint: string;
  readonly #record: UploadRecord;
  readonly #file: UploadSource;
  readonly #listeners = new Set<() => void>();
  readonly #release: () => void;
  #resolveId: (id: TaskId) => void = () => undefined;
  #rejectId: (error: Error) => void = () => undefined;
  #resolveDone: (task: Task) => void = () => undefined;
  #rejectDone: (error: Error) => void = () => undefined;

  taskId: TaskId | null = null;
  state: UploadState = "starting";
  sent = 0;
  total: number | null = null;
  resumed = false;
  retry: UploadRetry | null = null;
  error: HoldfastClientError | null = null;

  #wantedId: TaskId;
  #url: string | null = null;
  /** Creations sent; after the first, ID_TAKEN may speak of our own. */
  #creations = 0;
  #adopting = false;
  #stored = 0;
  #failures = 0;
  #refreshed = false;
  #doneWanted = false;
  #watching: TaskWatch | undefined;
  /** Counts attempts: what was awaited during an older one is no longer true. */
  #generation = 0;
  #prepared: Promise<boolean> | undefined;
  #attempt: UploadAttempt | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(file: UploadSource, options: UploadOptions) {
    this.#file = file;
    this.#options = options;
    this.#source = toTusSource(file, options.chunkSize);
    this.#chunk = new ChunkSize(this.#source.chunkSize);
    this.#environment = options[INTERNALS]?.environment ?? SYSTEM_ENVIRONMENT;
    this.#api = new HoldfastApi(toApiOptions(options));
    this.#endpoint = `${resolveBaseUrl(options.baseUrl)}/uploads`;
    this.#record = new UploadRecord(this.#endpoint, options);
    this.#wantedId = parseTaskId(options.taskId) ?? randomTaskId();
    this.id = new Promise((resolve, reject) => {
      this.#resolveId = resolve;
      this.#rejectId = reject;
    });
    this.#done = new Promise((resolve, reject) => {
      this.#resolveDone = resolve;
      this.#rejectDone = reject;
    });
    // Not everybody awaits them; unawaited, a rejection must not end a Node process.
    this.id.catch(() => undefined);
    this.#done.catch(() => undefined);
    const { signal } = options;
    const onAbort = (): void => void this.cancel().catch(() => undefined);
    signal?.addEventListener("abort", onAbort);
    const stopWake = listenForWake(() => {
      if (this.retry !== null) this.#launch();
    });
    this.#release = () => {
      signal?.removeEventListener("abort", onAbort);
      stopWake();
      this.#watching?.close();
      if (this.#url !== null) active.delete(this.#url);
    };
    if (signal?.aborted === true) onAbort();
    else void this.#begin();
  }

  get done(): Promise<Task> {
    this.#doneWanted = true;
    if (this.state === "sent") this.#watch();
    return this.#done;
  }

  pause(): void {
    if (this.state !== "starting" && this.state !== "sending") return;
    this.#halt();
    this.#change("paused");
  }

  resume(): void {
    if (this.state !== "paused") return;
    this.#change(this.taskId === null ? "starting" : "sending");
    void this.#begin();
  }

  async cancel(): Promise<void> {
    if (this.#ended()) return;
    this.#halt();
    this.#settle("cancelled", new HoldfastClientError("CANCELLED", "the upload was cancelled"));
    // A creation without an answer may have arrived all the same.
    if (this.taskId === null && this.#creations === 0) return;
    const taskId = this.taskId ?? this.#wantedId;
    await cancelUntilGone(
      () => this.#api.cancelUpload(taskId),
      (failures) =>
        new Promise((resolve) => {
          this.#environment.setTimer(resolve, this.#delayMs(failures, 0));
        }),
    );
  }

  subscribe(listener: () => void): () => void {
    const entry = (): void => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  async #begin(): Promise<void> {
    const generation = this.#generation;
    this.#prepared ??= this.#prepare();
    if ((await this.#prepared) && generation === this.#generation) this.#launch();
  }

  /** Measures the file and looks for what is left of it from before; false when it can't be read. */
  async #prepare(): Promise<boolean> {
    const { input } = this.#source;
    try {
      this.total = await this.#source.measure();
    } catch (cause) {
      this.#settle(
        "failed",
        new HoldfastClientError("UNREADABLE_FILE", `the file can't be read: ${String(cause)}`, { cause }),
      );
      return false;
    }
    if (this.#options.resume === false) return true;
    const url = await this.#record.find(input, this.total, active);
    this.#url = url ?? null;
    this.resumed = url !== undefined;
    return true;
  }

  #launch(): void {
    this.#halt();
    if (this.#url !== null) active.add(this.#url);
    const { headers, withCredentials = false } = this.#options;
    this.#attempt = new UploadAttempt(
      {
        source: this.#source,
        total: this.total,
        endpoint: this.#endpoint,
        url: this.#url,
        chunkBytes: this.#chunk.bytes,
        // An id that others may name too is created empty: only so can it be told afterwards whose it is.
        atOnce: this.#options.taskId === undefined && this.#chunk.fitsCreation(this.total),
        metadata: toTusMetadata(this.#file, this.#options, this.#wantedId),
        headers,
        withCredentials,
        now: this.#environment.now,
      },
      {
        creating: () => {
          this.#creations++;
        },
        answered: () => {
          this.#refreshed = false;
        },
        found: (offset, length) => this.#find(offset, length),
        announced: (url) => this.#announce(url),
        moved: (sent) => this.#move(sent),
        stored: (offset) => this.#acknowledge(offset),
        succeeded: () => void this.#sentAll(),
        failed: (error, last) => void this.#fail(error, last),
      },
    );
  }

  /** Ends the attempt under way and the wait for the next. */
  #halt(): void {
    this.#generation++;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    this.retry = null;
    this.#attempt?.abort();
    this.#attempt = undefined;
  }

  #find(offset: number, length: number | null): void {
    if (this.#adopting) {
      // Under a name that others may give, ours has the length we announced, and nothing in it yet.
      if (this.#options.taskId !== undefined && (offset !== 0 || length !== this.total)) {
        const message = `the id ${this.#wantedId} is taken by another upload`;
        throw new HoldfastClientError("HTTP_STATUS", message, { status: 409 });
      }
      this.#adopting = false;
    }
    this.#acknowledge(offset);
  }

  #acknowledge(offset: number): void {
    if (offset > this.#stored) this.#failures = 0;
    this.#stored = offset;
  }

  #announce(url: string): void {
    this.#url = url;
    active.add(url);
    void this.#record.save(url, this.total);
    if (this.taskId === null) {
      const id = parseTaskId(url.split(/[?#]/, 1)[0]?.replace(/\/+$/, "").split("/").at(-1));
      this.taskId = id ?? this.#wantedId;
      this.#resolveId(this.taskId);
    }
    this.#change("sending");
  }

  #move(sent: number): void {
    this.sent = sent;
    const { onProgress } = this.#options;
    if (onProgress !== undefined) callReporting(onProgress, sent, this.total);
    this.#notify();
  }

  async #fail(error: HoldfastClientError, { method, retryAfterMs }: LastRequest): Promise<void> {
    const { status } = error;
    const generation = this.#generation;
    const readable = status !== undefined || (await isReadable(this.#file));
    if (generation !== this.#generation) return;
    if (!readable) {
      this.#settle(
        "failed",
        new HoldfastClientError("UNREADABLE_FILE", "the file was changed or removed", { cause: error }),
      );
    } else if (status === 401 && typeof this.#options.headers === "function" && !this.#refreshed) {
      this.#refreshed = true;
      this.#launch();
    } else if (isBodyBound(error) && this.#chunk.shrinkRefused(this.#leftBytes)) {
      this.#launch();
    } else if (method === "POST" && status === 409 && this.#creations > 1) {
      // The creation before arrived, only its answer did not.
      this.#adopting = true;
      this.#url = `${this.#endpoint}/${this.#wantedId}`;
      this.#launch();
    } else if (method === "HEAD" && this.resumed && this.taskId === null && isFinal(status)) {
      // From before a reload, and the server has it no more: begin anew.
      void this.#record.forget();
      this.#url = null;
      this.resumed = false;
      this.#launch();
    } else if (!isFinal(status) || (method !== "POST" && !this.#adopting && RETRYABLE_TUS.has(status ?? 0))) {
      this.#wait(error, retryAfterMs);
      if (method === "PATCH") this.#chunk.shrinkFruitless(this.#leftBytes, this.#failures);
    } else await this.#refuse(error);
  }

  #delayMs(failures: number, floorMs: number): number {
    const { retryDelay: baseMs = 1000 } = this.#options;
    return backoffDelayMs({ baseMs, failures, floorMs, random: this.#environment.random() });
  }

  #wait(error: HoldfastClientError, floorMs: number): void {
    const { maxRetries = Infinity } = this.#options;
    this.#failures++;
    if (this.#failures > maxRetries) {
      const { status, problem } = error;
      const message = `gave up after ${maxRetries} retries: ${error.message}`;
      this.#settle(
        "failed",
        new HoldfastClientError("RETRIES_EXHAUSTED", message, { status, problem, cause: error }),
      );
      return;
    }
    const delayMs = this.#delayMs(this.#failures, floorMs);
    this.#cancelRetry = this.#environment.setTimer(() => this.#launch(), delayMs);
    this.retry = { error, attempt: this.#failures, nextAttemptAt: this.#environment.now() + delayMs };
    this.#notify();
  }

  /** Somebody may have ended the task elsewhere: then how it ended says more than "410". */
  async #refuse(error: HoldfastClientError): Promise<void> {
    const generation = this.#generation;
    if (this.taskId !== null && (error.status === 404 || error.status === 410)) {
      const task = await this.#api.task(this.taskId).catch(() => undefined);
      if (generation !== this.#generation) return;
      if (task !== undefined && isTerminal(task.status)) {
        this.#adopt(task);
        return;
      }
    }
    this.#settle("failed", error);
  }

  async #sentAll(): Promise<void> {
    const generation = this.#generation;
    this.sent = this.total ?? this.#stored;
    this.#change("sent");
    const { taskId } = this;
    if (taskId === null) return;
    if (this.#options.processing !== "external") {
      const task = await this.#api.task(taskId).catch(() => undefined);
      if (generation !== this.#generation) return;
      if (task !== undefined && isTerminal(task.status)) {
        this.#adopt(task);
        return;
      }
    }
    await this.#record.forget();
    // It goes on at the server, or could not be read just now: the stream tells, whatever happens between.
    if (this.#doneWanted || this.#options.processing !== "external") this.#watch();
  }

  #watch(): void {
    if (this.#watching !== undefined || this.taskId === null || this.#ended()) return;
    const { signal } = this.#options;
    const watch = watchTask(this.taskId, {
      ...toApiOptions(this.#options),
      ...(signal === undefined ? {} : { signal }),
    });
    this.#watching = watch;
    watch.ending.then(
      ({ task }) => this.#adopt(task),
      (error: unknown) => {
        if (!this.#ended()) this.#settle("failed", toClientError(error));
      },
    );
  }

  #adopt(task: Task): void {
    if (this.#ended()) return;
    if (task.status === "completed") {
      this.#settle("done", null);
      this.#resolveDone(task);
    } else this.#settle(task.status === "cancelled" ? "cancelled" : "failed", toEndingError(task));
  }

  #settle(state: "done" | "failed" | "cancelled", error: HoldfastClientError | null): void {
    this.#halt();
    this.error = error;
    this.#release();
    // What failed for want of a network or of the file may be gone on with after a reload.
    if (error?.code !== "RETRIES_EXHAUSTED" && error?.code !== "UNREADABLE_FILE") void this.#record.forget();
    if (error !== null) {
      this.#rejectId(error);
      this.#rejectDone(error);
    }
    this.#change(state);
  }

  get #leftBytes(): number {
    return (this.total ?? Infinity) - this.#stored;
  }

  #ended(): boolean {
    return this.state === "done" || this.state === "failed" || this.state === "cancelled";
  }

  #change(state: UploadState): void {
    this.state = state;
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) callReporting(listener);
  }
}
