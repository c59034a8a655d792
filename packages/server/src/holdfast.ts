/**
 * The service put together: store, engine, tasks, uploads, deadlines and the HTTP door, opened and closed in order.
 *
 * Promises
 * - Nothing is served before uploads have been compared with their files; nothing stays open when opening fails halfway.
 * - `close()` tells every stream when to come back, parks uploads, stores what is not stored, and returns within a bounded time,
 *   whatever clients and disks do. A second call waits for the first.
 * Refuses: to read flags, files or signals; that is the command line's or the host's.
 */
import { isTerminal, parseBatchId, parseTaskId, type Json, type Task } from "@holdfast/protocol";
import { StreamEngine } from "@holdfast/stream";
import { pino } from "pino";
import { join } from "node:path";
import { FileBlobStore } from "./blobs/file-blob-store.js";
import { HoldfastError } from "./errors.js";
import { openDoor, type Door } from "./http/door.js";
import { invalidField } from "./http/field-error.js";
import { Listener, type ListeningAddress } from "./http/listener.js";
import { Metrics } from "./http/metrics.js";
import { mount, type MountedHandler } from "./http/mount.js";
import { sendProblem } from "./http/problem.js";
import { toTaskId } from "./http/route-context.js";
import { addUploadRoutes } from "./http/upload-routes.js";
import { parseOptions, type HoldfastOptions, type HoldfastSettings } from "./options.js";
import type { DeliveryLog } from "./stores/delivery-log.js";
import { openSqliteStore } from "./stores/sqlite-store.js";
import type { Store } from "./stores/store.js";
import { Batches } from "./tasks/batches.js";
import { Controls } from "./tasks/controls.js";
import { Deadlines } from "./tasks/deadlines.js";
import { Deliveries } from "./tasks/deliveries.js";
import { Revisions } from "./tasks/revisions.js";
import { Streams } from "./tasks/streams.js";
import { openTaskHandle, type TaskHandle } from "./tasks/task-handle.js";
import { Tasks } from "./tasks/tasks.js";
import { Uploads } from "./uploads/uploads.js";

/** A job of the host's own. */
export interface NewHostTask {
  readonly id?: string;
  readonly title?: string;
  readonly total?: number;
  /** Of `total` and `done`; `items` unless named. */
  readonly unit?: string;
  readonly metadata?: { readonly [key: string]: Json };
  readonly batchId?: string;
  readonly maxAttempts?: number;
}

export interface HostTasks {
  /** Throws ID_TAKEN, BATCH_CLOSED, INVALID_FIELD. */
  create(task?: NewHostTask): Promise<TaskHandle>;
  /** Reports on a task that exists: an upload in `processing`, or one made over HTTP. Throws TASK_NOT_FOUND, TASK_EXPIRED. */
  open(id: string): Promise<TaskHandle>;
  /** Throws TASK_NOT_FOUND, TASK_EXPIRED. */
  get(id: string): Promise<Task>;
  /** Throws TASK_NOT_FOUND, TASK_EXPIRED, TASK_ENDED. */
  cancel(id: string, reason?: string): Promise<void>;
  /** Which connections were sent the task's ending, and when. Throws TASK_NOT_FOUND, TASK_EXPIRED. */
  deliveries(id: string): Promise<DeliveryLog>;
}

export interface Holdfast {
  readonly settings: HoldfastSettings;
  readonly tasks: HostTasks;
  /** For Express, Connect and node:http; what is not the service's goes to `next`. */
  readonly handler: MountedHandler;
  /** Where `listen()` listens; undefined before. */
  readonly address: ListeningAddress | undefined;
  /** Throws OptionError when the port is taken, or when nobody decides who may and the host is not loopback. */
  listen(): Promise<ListeningAddress>;
  close(): Promise<void>;
}

/** `retry:` of every stream, and what a stream that ends of age says. */
const RECONNECT_MS = 1_000;
/** What requests under way get at `close()` before their sockets are let go. */
const REQUEST_GRACE_MS = 5_000;
/** What a body that is nearly whole gets to finish; a longer one is parked and gone on with after the restart. */
const UPLOAD_GRACE_MS = 2_000;
/** A session lets go of a deaf peer after 5 s by itself; this is for the case that it does not. */
const DRAIN_GRACE_MS = 8_000;
/** Any other step of closing: a disk that hangs must not keep the process. */
const STEP_GRACE_MS = 10_000;

/** Throws OptionError, and STORE_UNAVAILABLE when the data directory can't be used. */
export async function createHoldfast(options: HoldfastOptions = {}): Promise<Holdfast> {
  const settings = parseOptions(options);
  const store =
    settings.store ??
    (await openSqliteStore({ directory: settings.dataDir, historyPerTask: settings.historyPerTask }));
  try {
    return await Service.open(settings, store);
  } catch (error) {
    if (settings.store === null) await store.close();
    throw error;
  }
}

class Service implements Holdfast {
  readonly settings: HoldfastSettings;
  readonly tasks: HostTasks;
  readonly handler: MountedHandler;
  readonly #parts: Parts;
  readonly #door: Door;
  #listener: Listener | undefined;
  #closing: Promise<void> | undefined;
  #doorOpen = true;
  #streamsOpen = true;

  static async open(settings: HoldfastSettings, store: Store): Promise<Service> {
    const parts = assemble(settings, store);
    await parts.uploads.recover(await store.listReceiving());
    const cancel = async (id: string, reason: string | null): Promise<void> => {
      const row = await parts.tasks.read(toTaskId(id));
      // Said twice it is still cancelled: a retry after a lost answer must not look like a failure.
      if (row.kind === "upload") await parts.uploads.discard(row, reason);
      else if (!isTerminal(row.status)) await parts.tasks.command(row.id, { type: "cancel", reason });
    };
    const door = await openDoor({
      context: {
        ...parts,
        cancel,
        draining: () => service.draining,
        streamsOpen: () => service.#streamsOpen,
      },
      uploads: async (scope) => addUploadRoutes(scope, parts),
      batchOf: async (text) => {
        const id = parseTaskId(text);
        if (id === undefined) return undefined;
        const row = parts.tasks.peek(id) ?? (await store.readTask(id));
        return row === undefined || row === "expired" ? undefined : row.batchId;
      },
    });
    const service: Service = new Service(parts, door, cancel);
    parts.deadlines.start();
    return service;
  }

  private constructor(
    parts: Parts,
    door: Door,
    cancel: (id: string, reason: string | null) => Promise<void>,
  ) {
    this.#parts = parts;
    this.#door = door;
    this.settings = parts.settings;
    const { tasks, deliveries, onError } = parts;
    this.tasks = {
      create: async (task = {}) => await createHostTask(parts, task),
      open: async (id) => await openTaskHandle(tasks, toTaskId(id), onError),
      get: async (id) => tasks.toWire(await tasks.read(toTaskId(id))),
      cancel: async (id, reason) => await cancel(id, reason ?? null),
      deliveries: async (id) => await deliveries.read((await tasks.read(toTaskId(id))).id),
    };
    this.handler = mount({
      basePath: parts.settings.basePath,
      owns: door.owns,
      routing: (request, response) => {
        if (this.#doorOpen) door.route(request, response);
        else sendProblem(response, goingAway()); // a host's own server outlives us
      },
    });
  }

  get draining(): boolean {
    return this.#closing !== undefined;
  }

  get address(): ListeningAddress | undefined {
    return this.#listener?.address;
  }

  async listen(): Promise<ListeningAddress> {
    if (this.draining) throw goingAway();
    const { settings, logger } = this.#parts;
    const listener = new Listener(settings, logger, this.handler);
    const address = await listener.listen();
    this.#listener = listener;
    return address;
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    const { settings, engine, controls, deliveries, uploads, deadlines, batches, tasks, metrics, store } =
      this.#parts;
    const listener = this.#listener;
    controls.drain();
    await this.#step("parking uploads", STEP_GRACE_MS, uploads.park(UPLOAD_GRACE_MS));
    // Last of what clients see: streams and polls live on while uploads finish, hear their endings, and are away for the restart alone.
    this.#streamsOpen = false;
    listener?.stopAccepting();
    await this.#step("draining streams", DRAIN_GRACE_MS, engine.drain(settings.drainWindowMs));
    if (listener !== undefined) await listener.close(REQUEST_GRACE_MS);
    this.#doorOpen = false;
    await this.#step("closing the door", STEP_GRACE_MS, this.#door.app.close());
    await this.#step("stopping deadlines", STEP_GRACE_MS, deadlines.close());
    batches.stop();
    await this.#step("storing deliveries", STEP_GRACE_MS, deliveries.store());
    await this.#step("storing tasks", STEP_GRACE_MS, tasks.close());
    metrics.close();
    if (settings.store === null) await this.#step("closing the store", STEP_GRACE_MS, store.close());
  }

  /** The rest must be closed whatever becomes of one step. */
  async #step(doing: string, graceMs: number, step: Promise<unknown>): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`${doing} took longer than ${graceMs} ms`)), graceMs);
    });
    try {
      await Promise.race([step, late]);
    } catch (error) {
      this.#parts.onError(error, doing);
    } finally {
      clearTimeout(timer);
    }
  }
}

function goingAway(): HoldfastError {
  return new HoldfastError("DRAINING", "the server is going away; come back in a moment", {
    retryAfterSeconds: 1,
  });
}

/** The time of day as of now, and from here on only what has passed: in whole milliseconds. */
function startSteadyClock(): () => number {
  const startMs = Date.now() - performance.now();
  return () => Math.round(startMs + performance.now());
}

type Parts = ReturnType<typeof assemble>;

function assemble(settings: HoldfastSettings, store: Store) {
  const logger = settings.logger ?? pino({ level: "silent" });
  const onError = (error: unknown, doing: string): void => logger.error({ err: error }, `failed: ${doing}`);
  const now = Date.now;
  const monotonicMs = startSteadyClock();
  const { basePath, heartbeatMs, progressIntervalMs, maxQueueBytes, maxStreamAgeMs } = settings;
  const engine = new StreamEngine({
    heartbeatMs,
    progressIntervalMs,
    maxQueueBytes,
    maxStreamAgeMs,
    reconnectMs: RECONNECT_MS,
    onError: (error) => onError(error, "a stream's timer"),
  });
  const { hub } = engine;
  const tasks = new Tasks({ store, hub, settings, basePath, now, monotonicMs, onError });
  const batches = new Batches({ store, tasks, hub, basePath, now });
  const deliveries = new Deliveries({ store, now, onError });
  const revisions = new Revisions();
  tasks.onRow(({ id }) => revisions.changed(id));
  const streams = new Streams({
    deliveries,
    engine,
    store,
    tasks,
    batches,
    revisions,
    heartbeatMs,
    progressIntervalMs,
    reconnectMs: RECONNECT_MS,
    now,
    onError,
  });
  const blobs = new FileBlobStore(join(settings.dataDir, "blobs"));
  const uploads = new Uploads({ tasks, blobs, settings, onError });
  const deadlines = new Deadlines({
    store,
    tasks,
    lapse: async (row) => await uploads.end(row.id, { type: "lapse" }),
    alsoLook: async () => await uploads.finishLeft(),
    removeContent: async (row) => await uploads.removeBytes(row),
    retentionMs: settings.retentionMs,
    historyMs: settings.historyMs,
    now,
    monotonicMs,
    onError,
  });
  const controls = new Controls(tasks);
  const metrics = new Metrics({ engine, store, tasks, controls, deliveries });
  return {
    settings,
    logger,
    onError,
    store,
    engine,
    tasks,
    batches,
    streams,
    controls,
    deliveries,
    blobs,
    uploads,
    deadlines,
    metrics,
  };
}

async function createHostTask({ tasks, onError }: Parts, task: NewHostTask): Promise<TaskHandle> {
  const id = task.id === undefined ? undefined : parseTaskId(task.id);
  const batchId = task.batchId === undefined ? null : parseBatchId(task.batchId);
  if (task.id !== undefined && id === undefined)
    throw invalidField("/id", "must be 1 to 64 of A-Z a-z 0-9 _ -");
  if (batchId === undefined) throw invalidField("/batchId", "must be 1 to 64 of A-Z a-z 0-9 _ -");
  const row = await tasks.create({
    id,
    kind: "task",
    filename: task.title ?? null,
    total: task.total ?? null,
    unit: task.unit ?? "items",
    metadata: task.metadata ?? {},
    batchId,
    processing: "external",
    maxAttempts: task.maxAttempts ?? 1,
    blobKey: null,
    tusMetadata: null,
  });
  return await openTaskHandle(tasks, row.id, onError);
}
