/**
 * Bytes in files: `<directory>/<first two characters>/<key>`.
 *
 * Promises: a file only ever grows by bytes that arrived, at the place where it ended; `onStored` is called when the file
 * system has accepted them and never before; a full disk is an error of its own and what was stored before stays.
 * Refuses: keys that are not ours (32 hexadecimal digits, drawn by the server), so no name of a client becomes a path.
 * Called by: uploads/.
 */
import { constants, createReadStream } from "node:fs";
import { mkdir, open, rm, stat, statfs, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Writable, type Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { HoldfastError } from "../errors.js";
import type { AppendOptions, BlobStore } from "./blob-store.js";

// What waits in memory while the file system writes: a few reads of a socket. More only grows colder in the cache.
const QUEUE_BYTES = 262_144;

const KEY = /^[0-9a-f]{32}$/;

export class FileBlobStore implements BlobStore {
  readonly #directory: string;

  /** Made when it does not exist. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async length(key: string): Promise<number> {
    try {
      return (await stat(this.#path(key))).size;
    } catch (error) {
      if (isMissing(error)) return 0;
      throw toHoldfastError(error);
    }
  }

  async append(key: string, source: Readable, options: AppendOptions): Promise<number> {
    return await this.#guard(async () => {
      const file = await this.#open(key, options.offset);
      try {
        const { size } = await file.stat();
        if (size !== options.offset) {
          throw new HoldfastError(
            "OFFSET_MISMATCH",
            `the blob holds ${size} bytes: got bytes for ${options.offset}`,
          );
        }
        return await pump(source, new FileTail(file, options), options.signal);
      } finally {
        await file.close();
      }
    });
  }

  async sync(key: string): Promise<void> {
    await this.#guard(async () => {
      const file = await open(this.#path(key), "r+").catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
      try {
        await file?.datasync();
      } finally {
        await file?.close();
      }
    });
  }

  read(key: string, range: { readonly start: number; readonly end: number }): Readable {
    return createReadStream(this.#path(key), { start: range.start, end: range.end - 1 });
  }

  async remove(key: string): Promise<void> {
    await this.#guard(async () => await rm(this.#path(key), { force: true }));
  }

  async freeBytes(): Promise<number> {
    return await this.#guard(async () => {
      await mkdir(this.#directory, { recursive: true });
      const { bavail, bsize } = await statfs(this.#directory);
      return bavail * bsize;
    });
  }

  /** For writing; made when nothing can be stored in it yet. */
  async #open(key: string, offset: number): Promise<FileHandle> {
    const path = this.#path(key);
    if (offset > 0) return await open(path, "r+");
    const folder = dirname(path);
    const made = await mkdir(folder, { recursive: true });
    const file = await open(path, constants.O_RDWR | constants.O_CREAT);
    try {
      await syncFolders(folder, made);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  #path(key: string): string {
    if (!KEY.test(key))
      throw new HoldfastError("INTERNAL", `not a key of this store: ${JSON.stringify(key.slice(0, 80))}`);
    return join(this.#directory, key.slice(0, 2), key);
  }

  async #guard<T>(run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      throw toHoldfastError(error);
    }
  }
}

/** Writes at the end of a file; chunks that came while the last write ran go out in one. */
class FileTail extends Writable {
  readonly #file: FileHandle;
  readonly #onStored: (length: number) => void;
  #length: number;

  constructor(file: FileHandle, options: AppendOptions) {
    super({ highWaterMark: QUEUE_BYTES });
    this.#file = file;
    this.#onStored = options.onStored;
    this.#length = options.offset;
  }

  get length(): number {
    return this.#length;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    void this.#take([chunk], done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    void this.#take(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  async #take(buffers: Buffer[], done: (error?: Error | null) => void): Promise<void> {
    try {
      await this.#store(buffers);
    } catch (error) {
      done(toHoldfastError(error));
      return;
    }
    done();
  }

  async #store(buffers: Buffer[]): Promise<void> {
    let left = buffers;
    while (left.length > 0) {
      // oxlint-disable-next-line no-await-in-loop -- a short write is gone on with in order
      const { bytesWritten } = await this.#file.writev(left, this.#length);
      this.#length += bytesWritten;
      this.#onStored(this.#length);
      left = dropBytes(left, bytesWritten);
    }
  }
}

/**
 * The entry of a new file is its folder's data, and so on up to the first folder that was made: without this a loss of power could
 * forget the file and keep its row.
 */
async function syncFolders(folder: string, made: string | undefined): Promise<void> {
  await syncFolder(folder);
  if (made === undefined) return;
  for (let at = folder; at !== dirname(made); at = dirname(at)) {
    // oxlint-disable-next-line no-await-in-loop -- a folder is made once, and at most 256 of them
    await syncFolder(dirname(at));
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Ends with what arrived, however the source ends; fails only when storing fails. */
async function pump(source: Readable, tail: FileTail, signal: AbortSignal): Promise<number> {
  const stop = (): void => {
    source.unpipe(tail);
    if (!tail.writableEnded && !tail.destroyed) tail.end();
  };
  // What has ended or was destroyed before us emits nothing any more; piped, it would be waited for until the silence is too long.
  if (signal.aborted || source.destroyed || source.readableEnded) return tail.length;
  signal.addEventListener("abort", stop, { once: true });
  source.once("error", stop).once("close", stop).once("aborted", stop);
  source.pipe(tail);
  try {
    await finished(tail);
    return tail.length;
  } finally {
    signal.removeEventListener("abort", stop);
    source.off("error", stop).off("close", stop).off("aborted", stop);
    source.unpipe(tail);
  }
}

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  let left = count;
  for (const [index, buffer] of buffers.entries()) {
    if (left < buffer.length) return [buffer.subarray(left), ...buffers.slice(index + 1)];
    left -= buffer.length;
  }
  return [];
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

function isMissing(error: unknown): boolean {
  return codeOf(error) === "ENOENT";
}

function toHoldfastError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  const code = codeOf(error) ?? "unknown";
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new HoldfastError(
      "INSUFFICIENT_STORAGE",
      "the disk of the data directory is full; what was stored is kept, go on when there is space",
      {
        cause: error,
        retryAfterSeconds: 10,
      },
    );
  }
  return new HoldfastError(
    "STORE_UNAVAILABLE",
    `the bytes could not be stored or read (${code}); try again`,
    {
      cause: error,
      retryAfterSeconds: 5,
    },
  );
}
