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
import type { Readable } from "node:stream";
import { isTerminal, type BatchId, type Json, type TaskErrorCode, type TaskId } from "@holdfast/protocol";
import type { BlobStore } from "../blobs/blob-store.js";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { TaskHold, Tasks } from "../tasks/tasks.js";
import { Intake } from "./intake.js";
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

export interface Incoming {
  readonly source: Readable;
  /** Where the bytes belong; refused unless it is where the upload stands. Undefined: there, wherever it is. */
  readonly offset?: number;
  /** Bytes announced; null when the length is unknown. */
  readonly length: number | null;
  /** Whether the source has ended as it was announced; asked after it ended. */
  readonly isWhole: () => boolean;
  /** The end of the source is the end of the upload. Not so for tus, where more may follow. */
  readonly isLast: boolean;
  /** Nobody can go on with it: what was cut has failed. */
  readonly oneShot: boolean;
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
    const { tasks, blobs } = this.#options;
    this.#assertOpen();
    if (upload.total !== null) await this.assertRoom(upload.total);
    const blobKey = randomBytes(16).toString("hex");
    await blobs.create(blobKey);
    try {
      const row = await tasks.create({ ...upload, kind: "upload", unit: "bytes", maxAttempts: 1, blobKey });
      // Nothing will ever be sent for it: a client that resumes sees that it has all its bytes.
      return row.total === 0
        ? await tasks.command(row.id, { type: "received", done: 0, result: resultOf(row) })
        : row;
    } catch (error) {
      await blobs.remove(blobKey);
      throw error;
    }
  }

  /** Throws UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE. */
  async assertRoom(bytes: number): Promise<void> {
    const { blobs, settings } = this.#options;
    const { maxUploadBytes, minFreeDiskBytes } = settings;
    if (maxUploadBytes !== null && bytes > maxUploadBytes) {
      throw new HoldfastError(
        "UPLOAD_TOO_LARGE",
        `upload exceeds max-upload-size: got ${bytes} bytes, bound ${maxUploadBytes}; send less or raise max-upload-size`,
      );
    }
    const freeBytes = (await blobs.freeBytes()) - minFreeDiskBytes;
    if (bytes > Math.max(0, freeBytes)) {
      throw new HoldfastError(
        "INSUFFICIENT_STORAGE",
        `upload does not fit: got ${bytes} bytes, room for ${Math.max(0, freeBytes)} (min-free-disk ${minFreeDiskBytes} kept free); free space and try again`,
        { retryAfterSeconds: 60 },
      );
    }
  }

  /** The total of a tus upload whose length was deferred. Throws INVALID_FIELD, UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE. */
  async declareTotal(id: TaskId, total: number): Promise<void> {
    const row = await this.#options.tasks.read(id);
    await this.assertRoom(total - row.done);
    if (this.maxUploadBytes !== null && total > this.maxUploadBytes) await this.assertRoom(total);
    await this.#options.tasks.command(id, { type: "declareTotal", total });
  }

  /** Takes the upload's lock and receives. Throws what `receive` throws, and UPLOAD_LOCKED. */
  async take(id: TaskId, incoming: Incoming): Promise<TaskRow> {
    assertReceiving(await this.#options.tasks.read(id));
    const lock = await this.locks.acquire(id);
    try {
      return await this.receive(id, incoming, lock);
    } finally {
      lock.release();
    }
  }

  /**
   * Stores what the source brings and returns the row then. The lock must be held. Resolves also when the source was cut:
   * the row says how far it came.
   * Throws OFFSET_MISMATCH, UPLOAD_COMPLETE, TASK_ENDED, UPLOAD_TOO_LARGE, INSUFFICIENT_STORAGE, STORE_UNAVAILABLE, DRAINING.
   */
  async receive(id: TaskId, incoming: Incoming, lock: UploadLock): Promise<TaskRow> {
    this.#assertOpen();
    const hold = await this.#options.tasks.hold(id);
    try {
      const { blobKey, done: offset } = assertReceiving(hold.row);
      if (incoming.offset !== undefined && incoming.offset !== offset) {
        throw new HoldfastError(
          "OFFSET_MISMATCH",
          `upload ${id} holds ${offset} bytes: got bytes for offset ${incoming.offset}; go on at ${offset}`,
          { field: "Upload-Offset" },
        );
      }
      const bound = await this.#bound(hold.row, incoming);
      return await this.#store(hold, blobKey, bound, incoming, lock);
    } catch (error) {
      if (incoming.oneShot) await this.#failOneShot(hold, error);
      throw error;
    } finally {
      hold.release();
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
    // The row first: a crash in between leaves bytes that nobody names, never a name without bytes.
    const forgotten = await tasks.forgetContent(id);
    await this.removeBytes(row);
    return forgotten;
  }

  /** Removes bytes when their writer has stopped. */
  async removeBytes(row: TaskRow): Promise<void> {
    if (row.blobKey === null) return;
    const lock = await this.locks.acquire(row.id);
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

  async #store(
    hold: TaskHold,
    blobKey: string,
    bound: number | null,
    incoming: Incoming,
    lock: UploadLock,
  ): Promise<TaskRow> {
    const { tasks, blobs, settings } = this.#options;
    const { id, done: offset } = hold.row;
    if (incoming.oneShot || (incoming.length !== 0 && hold.row.status === "pending")) {
      await tasks.command(id, { type: "begin", oneShot: incoming.oneShot });
    }
    const intake = new Intake(incoming.source, {
      boundBytes: bound === null || incoming.length !== null ? null : bound - offset,
      stop: AbortSignal.any([lock.wanted, hold.ended]),
      silenceMs: settings.readTimeoutMs,
      hasRoom: async () => (await blobs.freeBytes()) > settings.minFreeDiskBytes,
    });
    let stored = offset;
    try {
      stored = await blobs.append(blobKey, intake.source, {
        offset,
        signal: intake.stopped,
        onStored: (length) => {
          hold.stored(length);
          intake.stored(length - offset);
        },
      });
    } finally {
      intake.release();
    }
    const whole = incoming.isWhole() && intake.reason === null;
    const { total } = hold.row;
    if (total !== null && stored === total) return await this.#finish(hold, blobKey);
    if (total === null && whole && incoming.isLast) return await this.#finish(hold, blobKey);
    // The next chunk is on its way: only where none may follow is it worth the disk's time.
    if (!whole) this.#syncLater(blobKey);
    if (intake.reason === "too-large") {
      const allowed = bound ?? stored;
      throw new HoldfastError(
        "UPLOAD_TOO_LARGE",
        `the body goes on beyond what the upload may hold: bound ${allowed} bytes; nothing beyond was stored`,
      );
    }
    if (intake.reason === "disk-full") {
      throw new HoldfastError(
        "INSUFFICIENT_STORAGE",
        `min-free-disk ${settings.minFreeDiskBytes} was reached at ${stored} bytes; go on when there is space`,
        {
          retryAfterSeconds: 60,
        },
      );
    }
    if (incoming.oneShot) await this.#failOneShot(hold, undefined);
    return hold.row;
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
  async #bound(row: TaskRow, { length, isLast }: Incoming): Promise<number | null> {
    const { maxUploadBytes } = this.#options.settings;
    const end = length === null ? null : row.done + length;
    if (row.total !== null) {
      if (end !== null && end > row.total) {
        throw new HoldfastError(
          "UPLOAD_TOO_LARGE",
          `the body is longer than what is missing: got ${length} bytes at ${row.done}, total ${row.total}; send ${row.total - row.done}`,
        );
      }
      return row.total;
    }
    if (length === null) {
      await this.assertRoom(0);
      return maxUploadBytes;
    }
    await this.assertRoom(row.done + length);
    if (isLast) await this.#options.tasks.command(row.id, { type: "declareTotal", total: row.done + length });
    return row.done + length;
  }

  async #failOneShot(hold: TaskHold, error: unknown): Promise<void> {
    if (hold.ended.aborted) return;
    const { row } = hold;
    const of = row.total === null ? "" : ` of ${row.total}`;
    const [code, message] = oneShotFailure(error, `${row.done}${of}`);
    const ended = await this.#options.tasks.command(row.id, {
      type: "fail",
      error: { code, message, retryable: true },
    });
    if (ended.blobKey !== null) await this.#options.blobs.remove(ended.blobKey);
  }

  async #recover(row: TaskRow): Promise<void> {
    const { tasks, blobs } = this.#options;
    const length = row.blobKey === null ? undefined : await blobs.length(row.blobKey);
    if (row.blobKey === null || length === undefined || (row.total !== null && length > row.total)) {
      const message = `the stored bytes are ${length ?? "missing"}, expected at most ${row.total ?? "what was confirmed"}; send the file again`;
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
      else if (row.oneShot) await this.#failOneShot(hold, undefined);
    } finally {
      hold.release();
    }
  }

  #assertOpen(): void {
    if (this.#parked) {
      throw new HoldfastError("DRAINING", "the server is going away; go on in a moment", {
        retryAfterSeconds: 1,
      });
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

function oneShotFailure(error: unknown, stored: string): [TaskErrorCode, string] {
  if (error instanceof HoldfastError && error.code === "UPLOAD_TOO_LARGE")
    return ["UPLOAD_TOO_LARGE", error.message];
  if (error === undefined) {
    return [
      "UPLOAD_INCOMPLETE",
      `the body ended early: ${stored} bytes arrived; send the file again, or resumably`,
    ];
  }
  return ["STORAGE_FAILED", `the body could not be stored: ${stored} bytes arrived; send the file again`];
}
