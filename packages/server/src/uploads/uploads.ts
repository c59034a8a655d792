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
import type { Command } from "../tasks/lifecycle.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { TaskHold, Tasks } from "../tasks/tasks.js";
import {
  assertReceiving,
  endsUpload,
  offsetMismatch,
  toCutError,
  toDrainingError,
  toOneShotFailure,
  type Incoming,
} from "./incoming.js";
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
  /** Whole, but not told so. */
  readonly #unfinished = new Set<TaskId>();
  #parked = false;

  constructor(options: UploadsOptions) {
    this.#options = options;
    // Whoever failed it, nobody can read its bytes any more.
    options.tasks.onRow((row) => {
      if (row.kind !== "upload" || row.status !== "failed") return;
      this.removeBytes(row).catch((error: unknown) =>
        options.onError(error, `removing the bytes of ${row.id}`),
      );
    });
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

  /**
   * Stores what the source brings, and returns the row when all of it is stored; for tus also when it was cut. Asks a running
   * writer to stop, but not for a request that can't be right.
   * Throws OFFSET_MISMATCH, UPLOAD_COMPLETE, TASK_ENDED, UPLOAD_GONE, UPLOAD_LOCKED, UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE,
   * STORE_UNAVAILABLE, INVALID_REQUEST, INVALID_FIELD, DRAINING.
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
    const row = await this.end(id, { type: "cancel", reason });
    await this.removeBytes(row);
    return row;
  }

  /** Where the disk is too full for the ending, the bytes that nobody wants any more make room for it. Throws TASK_ENDED. */
  async end(id: TaskId, command: Command): Promise<TaskRow> {
    const { tasks } = this.#options;
    try {
      return await tasks.command(id, command);
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== "INSUFFICIENT_STORAGE") throw error;
      await this.removeBytes(await tasks.read(id));
      return await tasks.command(id, command);
    }
  }

  /** What DELETE means, said once or twice: cancels what has not ended, else removes its bytes. */
  async discard(row: TaskRow, reason: string | null): Promise<void> {
    if (isTerminal(row.status)) await this.removeContent(row.id);
    else await this.cancel(row.id, reason);
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
        await this.#declareTotal(hold.row, incoming);
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
    const { id, done } = hold.row;
    const command = { type: "received", done, result: resultOf(hold.row) } as const;
    try {
      const row = await this.#options.tasks.command(id, command);
      this.#syncLater(blobKey);
      return row;
    } catch (error) {
      this.#unfinished.add(id);
      throw error;
    }
  }

  /**
   * Completes what has all its bytes and could not be completed when the last one came, because the store could not be written: nobody
   * will send anything for it any more. Called on schedule.
   */
  async finishLeft(): Promise<void> {
    for (const id of this.#unfinished) {
      // oxlint-disable-next-line no-await-in-loop -- a store that has trouble is asked one thing at a time
      const row = await this.#options.tasks.read(id);
      if (!isTerminal(row.status) && row.status !== "processing") {
        const command = { type: "received", done: row.done, result: resultOf(row) } as const;
        // oxlint-disable-next-line no-await-in-loop -- likewise
        await this.#options.tasks.command(id, command);
        if (row.blobKey !== null) this.#syncLater(row.blobKey);
      }
      this.#unfinished.delete(id);
    }
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

  /** Behind the lock: no body that began without a total may still be running when there is one. */
  async #declareTotal(row: TaskRow, { total }: Incoming): Promise<void> {
    if (total === null) return;
    if (total !== row.total) await this.assertRoom(total, Math.max(0, total - row.done));
    await this.#options.tasks.command(row.id, { type: "declareTotal", total });
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
      const retryable = code !== "UPLOAD_TOO_LARGE";
      await tasks.command(row.id, { type: "fail", error: { code, message, retryable } });
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
