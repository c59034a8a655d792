/**
 * Where bytes land. One writer per key at a time is the caller's care (uploads/upload-lock.ts).
 *
 * `stored` means accepted by the file system: it survives kill -9. `sync` makes it survive loss of power.
 */
import type { Readable } from "node:stream";

export interface AppendOptions {
  /** Where the bytes go; must equal the length of what is stored. */
  readonly offset: number;
  /** Called after each write with the length stored so far. */
  readonly onStored: (length: number) => void;
  /** Stops taking bytes; what was stored stays. */
  readonly signal: AbortSignal;
}

export interface BlobStore {
  /** Length stored; 0 when nothing ever was, or it was removed. */
  length(key: string): Promise<number>;
  /**
   * Appends until the source ends, fails or the signal aborts; returns the length then stored. The first append makes the blob.
   * Rejects only when storing fails.
   */
  append(key: string, source: Readable, options: AppendOptions): Promise<number>;
  /** Makes what is stored survive loss of power. A blob that was removed meanwhile has nothing to lose. */
  sync(key: string): Promise<void>;
  /** `end` exclusive. */
  read(key: string, range: { readonly start: number; readonly end: number }): Readable;
  /** Removing what does not exist is fine. */
  remove(key: string): Promise<void>;
  /** Bytes that may still be stored on this device. */
  freeBytes(): Promise<number>;
}
