/**
 * Uploads: the one place where bytes are received, whoever brings them: tus, raw, PUT, form.
 *
 * Promises
 * - [wire: bytes-stored] `uploaded` counts what the file system has; a body is never stored beyond what was announced, and a
 *   body that ends early leaves what arrived, never padding.
 * - One writer at a time; a cancelled or expired task stops its writer.
 * - The last byte is stored before the ending is committed, and a crash between the two is made up for by `recover`.
 * Refuses: to know requests; routes hand over a stream of bytes and what was said about it.
 * Called by: http/upload-routes.ts, http/tus-routes.ts, holdfast.ts (recover, park).
 */
import { randomBytes } from "node:crypto";
import { isTerminal, type BatchId, type Json, type TaskId } from "@holdfast/protocol";
import type { BlobStore } from "../blobs/blob-store.js";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { TaskHold, Tasks } from "../tasks/tasks.js";
import { endsUpload, toCutError, toDrainingError, toOneShotFailure, type Incoming } from "./incoming.js";
import { Intake } from "./intake.js";
import { PacedTelling } from "./paced-telling.js";
import { UploadLocks, type UploadLock } from "./upload-lock.js";

export interface UploadSettings {
  /** Null: no bound but the disk. */
  readonly maxUploadBytes: number | null;
  /** Uploads are refused and stopped rather than leave less. */
  readonly minFreeDiskBytes: number;
  /** A body that is silent for so long is given up. */
  readonly readTimeoutMs: number;
}

export interface UploadsOptions {
  readonly tasks: Tasks;
  readonly blobs: BlobStore;
  readonly settings: UploadSettings;
  readonly onError: (error: unknown, doing: string) => void;
}

export interface NewUpload {
  readonly id?: TaskId | undefined;
  readonly filename: string | null;
  readonly total: number | null;
  readonly metadata: { readonly [key: string]: Json };
  readonly batchId: BatchId | null;
  readonly processing: "none" | "external";
  /** `Upload-Metadata` as it was sent; null for uploads that tus did not create. */
  readonly tusMetadata: string | null;
}

export class Uploads {
  readonly locks: UploadLocks = new UploadLocks();
  readonly #options: UploadsOptions;
  readonly #syncs = new Set<Promise<void>>();
  #parked = false;

  constructor(options: UploadsOptions) {
    this.#options = options;
  }

  get maxUploadBytes(): number | null {
    return this.#options.settings.maxUploadBytes;
  }

  /** Throws UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE, ID_TAKEN, BATCH_CLOSED, DRAINING. */
  async create(upload: NewUpload): Promise<TaskRow> {
    const { tasks } = this.#options;
    if (this.#parked) throw toDrainingError();
    if (upload.total !== null) await this.assertRoom(upload.total);
    // A name without a file until the first byte: a crash in between leaves nothing on the disk that nobody knows of.
    const blobKey = randomBytes(16).toString("hex");
    const row = await tasks.create({ ...upload, kind: "upload", unit: "bytes", maxAttempts: 1, blobKey });
    // Nothing will ever be sent for it: a client that resumes sees that it has all its bytes.
    return row.total === 0
      ? await tasks.command(row.id, { type: "received", done: 0, result: resultOf(row) })
      : row;
  }

  /**
   * Whether an upload may reach `end` bytes, of which `missing` are still to be stored.
   * Throws UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE.
   */
  async assertRoom(end: number, missing: number = end): Promise<void> {
    const { blobs, settings } = this.#options;
    const { maxUploadBytes, minFreeDiskBytes } = settings;
    if (maxUploadBytes !== null && end > maxUploadBytes) {
      throw new HoldfastError(
        "UPLOAD_TOO_LARGE",
        `upload exceeds max-upload-size: got ${end} bytes, bound ${maxUploadBytes}; send less or raise max-upload-size`,
      );
    }
    const freeBytes = (await blobs.freeBytes()) - minFreeDiskBytes;
    if (missing > freeBytes) {
      throw new HoldfastError(
        "INSUFFICIENT_STORAGE",
        `upload does not fit: got ${missing} bytes, room for ${Math.max(0, freeBytes)} (min-free-disk ${minFreeDiskBytes} kept free); free space and try again`,
        { retryAfterSeconds: 60 },
      );
    }
  }

  /** The total of a tus upload whose length was deferred. Throws INVALID_FIELD, UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE. */
  async declareTotal(id: TaskId, total: number): Promise<void> {
    const row = await this.#options.tasks.read(id);
    await this.assertRoom(total, Math.max(0, total - row.done));
    await this.#options.tasks.command(id, { type: "declareTotal", total });
  }

  /**
   * Stores what the source brings, and returns the row when all of it is stored; for tus also when it was cut. Asks a running
   * writer to stop, but not for a request that can't be right.
   * Throws OFFSET_MISMATCH, UPLOAD_COMPLETE, TASK_ENDED, UPLOAD_GONE, UPLOAD_LOCKED, UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE,
   * STORE_UNAVAILABLE, INVALID_REQUEST, DRAINING.
   */
  async take(id: TaskId, incoming: Incoming): Promise<TaskRow> {
    const row = assertReceiving(await this.#options.tasks.read(id));
    // What is stored never becomes less: a lower offset is wrong now and stays so, and whoever is writing must not suffer from it.
    if (incoming.offset < row.done) throw offsetMismatch(row, incoming);
    const lock = await this.locks.acquire(id, { yields: incoming.kind !== "one-shot" });
    try {
      return await this.#receive(id, incoming, lock);
    } finally {
      lock.release();
    }
  }

  /** Ends the upload as cancelled and removes its bytes. Throws TASK_ENDED. */
  async cancel(id: TaskId, reason: string | null): Promise<TaskRow> {
    const row = await this.#options.tasks.command(id, { type: "cancel", reason });
    await this.removeBytes(row);
    return row;
  }

  /** Removes the bytes of an upload that has ended; its task stays what it is. */
  async removeContent(id: TaskId): Promise<TaskRow> {
    const { tasks } = this.#options;
    const row = await tasks.read(id);
    if (row.blobKey === null) return row;
    // The bytes first: a crash in between leaves a name without bytes, which reads as gone, never gigabytes without a name.
    await this.removeBytes(row);
    return await tasks.forgetContent(id);
  }

  /** Removes the bytes of a task that has ended, when their writer has stopped. */
  async removeBytes(row: TaskRow): Promise<void> {
    if (row.blobKey === null) return;
    const lock = await this.locks.acquire(row.id, { waits: true });
    try {
      await this.#options.blobs.remove(row.blobKey);
    } finally {
      lock.release();
    }
  }

  /** Before serving: compares every unfinished upload with its file, which is the truth. */
  async recover(rows: readonly TaskRow[]): Promise<void> {
    for (const row of rows) {
      try {
        // oxlint-disable-next-line no-await-in-loop -- a start must not open a thousand files at once
        await this.#recover(row);
      } catch (error) {
        this.#options.onError(error, `recovering upload ${row.id}`);
      }
    }
  }

  /** Refuses new bodies, lets running ones go on for `graceMs`, then stops them; what they stored is synced. */
  async park(graceMs: number): Promise<void> {
    this.#parked = true;
    const grace = new Promise<void>((resolve) => setTimeout(resolve, graceMs).unref());
    await Promise.race([this.locks.idle(), grace]);
    await this.locks.stopAll();
    await Promise.all(this.#syncs);
  }

  async #receive(id: TaskId, incoming: Incoming, lock: UploadLock): Promise<TaskRow> {
    if (this.#parked) throw toDrainingError();
    const hold = await this.#options.tasks.hold(id);
    try {
      const { blobKey } = assertReceiving(hold.row);
      if (incoming.offset !== hold.row.done) throw offsetMismatch(hold.row, incoming);
      try {
        const bound = await this.#bound(hold.row, incoming);
        return await this.#store(hold, blobKey, bound, incoming, lock);
      } catch (error) {
        if (incoming.kind === "one-shot") await this.#failOneShot(hold, error);
        throw error;
      }
    } finally {
      hold.release();
    }
  }

  async #store(
    hold: TaskHold,
    blobKey: string,
    bound: number | null,
    incoming: Incoming,
    lock: UploadLock,
  ): Promise<TaskRow> {
    const { tasks, blobs, settings } = this.#options;
    const { id, done: offset } = hold.row;
    const oneShot = incoming.kind === "one-shot";
    if (oneShot || (incoming.length !== 0 && hold.row.status === "pending")) {
      await tasks.command(id, { type: "begin", oneShot });
    }
    const intake = new Intake(incoming.source, {
      boundBytes: bound === null || incoming.length !== null ? null : bound - offset,
      stop: AbortSignal.any([lock.wanted, hold.ended]),
      silenceMs: settings.readTimeoutMs,
      hasRoom: async () => (await blobs.freeBytes()) > settings.minFreeDiskBytes,
    });
    const telling = new PacedTelling(offset, (length) => hold.stored(length));
    let stored: number;
    try {
      stored = await blobs.append(blobKey, intake.source, {
        offset,
        signal: intake.stopped,
        onStored: (length) => {
          telling.stored(length);
          intake.stored(length - offset);
        },
      });
    } finally {
      intake.release();
      telling.flush();
    }
    const { reason } = intake;
    const whole = incoming.isWhole() && reason === null;
    const { total } = hold.row;
    const ended = hold.ended.aborted;
    const complete = total === null ? whole && endsUpload(incoming) : stored === total;
    if (complete && !ended) return await this.#finish(hold, blobKey);
    // What has ended, or is about to, has its bytes removed; after a whole chunk the disk is busy with the next.
    if (!ended && !oneShot && !whole) this.#syncLater(blobKey);
    const resting = incoming.kind === "tus" && (reason === null || reason === "silent");
    if ((resting || (whole && !endsUpload(incoming))) && !ended) return hold.row;
    throw toCutError(hold.row, incoming.kind, {
      reason,
      ended,
      parked: this.#parked,
      bound,
      minFreeDiskBytes: settings.minFreeDiskBytes,
      silenceMs: settings.readTimeoutMs,
    });
  }

  async #finish(hold: TaskHold, blobKey: string): Promise<TaskRow> {
    const { done } = hold.row;
    const command = { type: "received", done, result: resultOf(hold.row) } as const;
    const row = await this.#options.tasks.command(hold.row.id, command);
    this.#syncLater(blobKey);
    return row;
  }

  /**
   * Bytes are stored when the file system has them; making them survive loss of power costs the speed of the disk, which
   * nobody should wait for. A file that such a loss left short is noticed on start while it is unfinished, and when it is read.
   */
  #syncLater(blobKey: string): void {
    const sync = this.#options.blobs
      .sync(blobKey)
      .catch((error: unknown) => this.#options.onError(error, "syncing stored bytes"))
      .finally(() => this.#syncs.delete(sync));
    this.#syncs.add(sync);
  }

  /** The length the upload may reach; null when only the disk bounds it. */
  async #bound(row: TaskRow, incoming: Incoming): Promise<number | null> {
    const { length } = incoming;
    if (row.total !== null && length !== null && row.done + length > row.total) {
      throw new HoldfastError(
        "UPLOAD_TOO_LARGE",
        `the body is longer than what is missing: got ${length} bytes at ${row.done}, total ${row.total}; send ${row.total - row.done}`,
      );
    }
    // Asked for each body: an upload in small chunks would otherwise never look at the disk again. One that was let in with its total
    // may come as far as there is room.
    await this.assertRoom(row.done + (length ?? 0), row.total === null ? (length ?? 0) : 0);
    if (row.total !== null) return row.total;
    if (length === null) return this.maxUploadBytes;
    if (endsUpload(incoming))
      await this.#options.tasks.command(row.id, { type: "declareTotal", total: row.done + length });
    return row.done + length;
  }

  async #failOneShot(hold: TaskHold, cause: unknown): Promise<void> {
    const { tasks, blobs, onError } = this.#options;
    const { row } = hold;
    if (hold.ended.aborted || row.blobKey === null) return;
    const [code, message] = toOneShotFailure(row, cause);
    try {
      // The bytes first: where the disk is full, this makes the room that the ending needs.
      await blobs.remove(row.blobKey);
      await tasks.command(row.id, { type: "fail", error: { code, message, retryable: true } });
    } catch (error) {
      onError(error, `failing upload ${row.id}`); // the caller throws why; a start ends it as UPLOAD_DAMAGED
    }
  }

  async #recover(row: TaskRow): Promise<void> {
    const { tasks, blobs } = this.#options;
    // No file is no byte: none came before the crash, or the disk lost them; either way the client sends them (again).
    const length = row.blobKey === null ? 0 : await blobs.length(row.blobKey);
    if (row.blobKey === null || (row.total !== null && length > row.total)) {
      const message = `the stored bytes are ${length}, expected at most ${row.total}; send the file again`;
      await tasks.command(row.id, {
        type: "fail",
        error: { code: "UPLOAD_DAMAGED", message, retryable: true },
      });
      return;
    }
    const hold = await tasks.hold(row.id);
    try {
      if (length > 0 && row.status === "pending")
        await tasks.command(row.id, { type: "begin", oneShot: false });
      hold.recovered(length);
      if (row.total !== null && length === row.total) await this.#finish(hold, row.blobKey);
      // Also before its first byte: its body is gone, and it would be `uploading` until it expires.
      else if (row.oneShot)
        await this.#failOneShot(hold, new HoldfastError("INVALID_REQUEST", "the server was stopped"));
    } finally {
      hold.release();
    }
  }
}

function resultOf(row: TaskRow): Json {
  return { bytes: row.done };
}

/** Throws UPLOAD_COMPLETE, TASK_ENDED, INVALID_FIELD. */
function assertReceiving(row: TaskRow): TaskRow & { readonly blobKey: string } {
  if (row.kind !== "upload") {
    throw new HoldfastError("INVALID_FIELD", `task ${row.id} is no upload: it takes no bytes`);
  }
  if (row.status === "processing" || row.status === "completed") {
    throw new HoldfastError("UPLOAD_COMPLETE", `upload ${row.id} has all its ${row.done} bytes`);
  }
  if (isTerminal(row.status) || row.blobKey === null) {
    throw new HoldfastError("TASK_ENDED", `upload ${row.id} has ended as ${row.status}; create another`);
  }
  return { ...row, blobKey: row.blobKey };
}

function offsetMismatch(row: TaskRow, { offset }: Incoming): HoldfastError {
  return new HoldfastError(
    "OFFSET_MISMATCH",
    `upload ${row.id} holds ${row.done} bytes: got bytes for offset ${offset}; go on at ${row.done}`,
    { field: "Upload-Offset" },
  );
}
