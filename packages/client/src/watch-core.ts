/**
 * What watchTask, watchBatch and watchTasks share: one stream, the tasks as seen through it, and who is to be told.
 *
 * It promises that `tasks` is a fresh map after a change and the same one without, that a throwing callback stops nothing, and that
 * after `finish` or `fail` nothing is called any more. It does not know when a watch is over: its owner says so.
 */
import type { BatchData, Task, TaskId } from "@holdfast/protocol";
import { backoffDelayMs } from "./backoff.js";
import { HoldfastClientError } from "./client-error.js";
import type { Environment } from "./environment.js";
import { EventBuffer } from "./event-buffer.js";
import { resolveBaseUrl } from "./holdfast-api.js";
import { callReporting } from "./report-error.js";
import { StableEventSource } from "./stable-event-source.js";
import type { StreamErrorInfo, StreamMessageEvent } from "./stream-event.js";
import { INTERNALS, toEnvironment, type StableEventSourceOptions } from "./stream-options.js";
import type { StreamSource } from "./stream-source.js";
import { reduceTask } from "./task-view.js";
import { parseWatchEvent, readTaskId, type WatchEvent } from "./watch-event.js";
import { toStreamOptions, type ConnectionInfo, type WatchOptions } from "./watch-options.js";

export interface WatchTarget {
  /** Below baseUrl. */
  readonly path: string;
  /** Sent by POST where it is given. */
  readonly body?: object;
}

export interface WatchOwner {
  /** After the view has taken it in. */
  onEvent(event: WatchEvent): void;
  /** The watch has failed or was closed; nothing follows. */
  onFailed(error: HoldfastClientError): void;
}

export class WatchCore {
  /** Aborted when the watch is over. */
  readonly signal: AbortSignal;
  readonly unavailable: Map<string, string> = new Map();
  batch: BatchData | null = null;
  connection: ConnectionInfo;

  readonly #target: WatchTarget;
  readonly #url: string;
  readonly #options: WatchOptions;
  readonly #streamOptions: StableEventSourceOptions;
  readonly #owner: WatchOwner;
  readonly #over = new AbortController();
  readonly #live = new Map<TaskId, Task>();
  readonly #listeners = new Set<() => void>();
  readonly #buffers = new Set<EventBuffer>();
  #published: ReadonlyMap<TaskId, Task> | undefined;
  #failure: HoldfastClientError | undefined;
  #source: StreamSource;
  #reopenings = 0;

  constructor(target: WatchTarget, options: WatchOptions, owner: WatchOwner, where: string) {
    this.#target = target;
    this.#options = options;
    this.#owner = owner;
    this.#streamOptions = toStreamOptions(options, where);
    this.signal = this.#over.signal;
    this.#url = resolveBaseUrl(options.baseUrl) + target.path;
    this.#source = this.#open();
    this.connection = { ...this.#source.state, lastHeartbeatAtMs: null };
    const onAbort = (): void => this.#abort();
    options.signal?.addEventListener("abort", onAbort, { signal: this.signal });
    // A tick later, as everything that is told.
    if (options.signal?.aborted === true) queueMicrotask(onAbort);
  }

  get tasks(): ReadonlyMap<TaskId, Task> {
    this.#published ??= new Map(this.#live);
    return this.#published;
  }

  task(taskId: TaskId): Task | null {
    return this.#live.get(taskId) ?? null;
  }

  subscribe(listener: () => void): () => void {
    // A wrapper of its own, so that one function subscribed twice is two subscriptions.
    const entry = (): void => listener();
    this.#listeners.add(entry);
    return () => this.#listeners.delete(entry);
  }

  iterate(): AsyncIterableIterator<WatchEvent, undefined> {
    const buffer = new EventBuffer(
      () => this.#live.values(),
      (returned) => this.#buffers.delete(returned),
    );
    if (this.signal.aborted) buffer.end(this.#failure?.code === "CLOSED" ? undefined : this.#failure);
    else this.#buffers.add(buffer);
    return buffer;
  }

  /** Takes an event in as if the stream had brought it; also how an ending that was read, not heard, reaches everybody. */
  take(event: WatchEvent, chars: number): void {
    if (this.signal.aborted) return;
    this.#reduce(event);
    for (const buffer of this.#buffers) buffer.push(event, chars);
    const { onEvent } = this.#options;
    if (onEvent !== undefined) callReporting(onEvent, event);
    this.#owner.onEvent(event);
    this.#notify();
  }

  /** All is said: iterations end after what is queued. */
  finish(): void {
    this.#stop(undefined);
  }

  /** Iterations throw, except on CLOSED, which its owner asked for. */
  fail(error: HoldfastClientError): void {
    if (this.signal.aborted) return;
    this.#failure = error;
    this.#stop(error.code === "CLOSED" ? undefined : error);
    this.#owner.onFailed(error);
  }

  close(): void {
    this.fail(new HoldfastClientError("CLOSED", `the watch of ${this.#target.path} was closed`));
  }

  /**
   * Begins anew without a cursor, after a wait: the snapshot tells all, the ending included. For a server that has nothing more to say
   * (204) although the ending was not heard. The wait grows, else a server that mistakes our cursor makes a hot loop.
   */
  reopen(): void {
    this.#source.close();
    const { setTimer, random } = this.#environment;
    const { retryDelay = 2000 } = this.#options;
    this.#reopenings += 1;
    const cancel = setTimer(
      () => {
        this.signal.removeEventListener("abort", cancel);
        this.#source = this.#open();
      },
      backoffDelayMs({ baseMs: retryDelay, failures: this.#reopenings, floorMs: 0, random: random() }),
    );
    this.signal.addEventListener("abort", cancel);
  }

  get #environment(): Environment {
    return toEnvironment(this.#options);
  }

  #open(): StreamSource {
    const onAny = (message: StreamMessageEvent): void => {
      const event = parseWatchEvent(message);
      if (event !== undefined) this.take(event, message.data.length);
    };
    const source: StreamSource = this.#options[INTERNALS]?.openShared?.(onAny) ?? this.#openOwn(onAny);
    source.addEventListener("state", (info) => {
      // A server's event of that name is not ours.
      if (source !== this.#source || !("transport" in info)) return;
      this.#setConnection({ ...source.state, lastHeartbeatAtMs: this.connection.lastHeartbeatAtMs });
      if (info.reason === "done" && !this.signal.aborted) this.reopen();
      // Whoever shared it has left.
      else if (info.reason === "aborted") this.#abort();
    });
    source.addEventListener("error", (info) => {
      if ("terminal" in info && info.terminal) this.fail(toError(info, this.#target.path));
    });
    return source;
  }

  #openOwn(onAny: (message: StreamMessageEvent) => void): StableEventSource {
    const { body } = this.#target;
    const posted: StableEventSourceOptions =
      body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    return new StableEventSource(this.#url, {
      ...this.#streamOptions,
      ...posted,
      ...(body === undefined ? {} : { headers: () => this.#jsonHeaders() }),
      [INTERNALS]: { ...this.#options[INTERNALS], onAny },
    });
  }

  #abort(): void {
    this.fail(new HoldfastClientError("ABORTED", `the watch of ${this.#target.path} was aborted`));
  }

  async #jsonHeaders(): Promise<{ readonly [name: string]: string }> {
    const { headers } = this.#options;
    const given = typeof headers === "function" ? await headers() : headers;
    return { ...given, "Content-Type": "application/json" };
  }

  #reduce(event: WatchEvent): void {
    if (event.type === "heartbeat") {
      this.#setConnection({ ...this.connection, lastHeartbeatAtMs: this.#environment.now() });
    } else if (event.type === "batch") this.batch = event.data;
    else if (event.type === "unavailable") this.unavailable.set(event.data.taskId, event.data.code);
    const taskId = readTaskId(event) as TaskId | undefined;
    if (taskId === undefined) return;
    const before = this.task(taskId);
    const after = reduceTask(before, event);
    if (after === null || after === before) return;
    this.#live.set(taskId, after);
    this.unavailable.delete(taskId);
    this.#published = undefined;
  }

  #setConnection(connection: ConnectionInfo): void {
    this.connection = connection;
    const { onConnection } = this.#options;
    if (onConnection !== undefined) callReporting(onConnection, connection);
    this.#notify();
  }

  #notify(): void {
    for (const listener of this.#listeners) callReporting(listener);
  }

  #stop(error: HoldfastClientError | undefined): void {
    if (this.signal.aborted) return;
    this.#over.abort();
    this.#source.close();
    for (const buffer of this.#buffers) buffer.end(error);
    this.#buffers.clear();
  }
}

function toError(info: StreamErrorInfo, path: string): HoldfastClientError {
  const { status, problem, reason } = info;
  const extras = { status: status ?? undefined, problem: problem ?? undefined };
  const said = problem?.detail ?? problem?.title ?? (status === null ? "no answer" : `status ${status}`);
  return reason === "retries-exhausted"
    ? new HoldfastClientError("RETRIES_EXHAUSTED", `gave up on ${path}: ${said}`, extras)
    : new HoldfastClientError("HTTP_STATUS", `the server refuses ${path}: ${said}`, extras);
}
