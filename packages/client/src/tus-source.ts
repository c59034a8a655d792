import { defaultOptions, type FileReader as TusReader, type FileSource, type Upload } from "tus-js-client";
import { HoldfastClientError } from "./client-error.js";
import type { UploadSource } from "./upload-options.js";

export type TusInput = ConstructorParameters<typeof Upload>[0];

/** A file as tus-js-client takes it. */
export interface TusSource {
  readonly input: TusInput;
  /** Bytes; null where only the end will tell. Rejects when the file can't be opened. */
  measure(): Promise<number | null>;
  /** Bytes per request. */
  readonly chunkSize: number;
  /** Opens the file once for all attempts: a stream can't be opened twice. */
  readonly reader: TusReader;
}

// What a stream of unknown length holds in memory for a retry; larger requests cost little speed and more memory.
const STREAM_CHUNK_BYTES = 8_388_608;

/** Throws INVALID_OPTION for what can't be sent from here. */
export function toTusSource(file: UploadSource, chunkBytes: number | undefined): TusSource {
  const inBrowser = typeof XMLHttpRequest !== "undefined";
  if (typeof Blob !== "undefined" && file instanceof Blob) {
    if (!inBrowser) {
      throw new HoldfastClientError(
        "INVALID_OPTION",
        "outside a browser a Blob can't be sent in pieces; give fs.createReadStream(path) or a Buffer",
      );
    }
    return toSource(file, chunkBytes ?? Infinity);
  }
  if (file instanceof Uint8Array) {
    const input = inBrowser ? new Blob([file]) : Buffer.from(file.buffer, file.byteOffset, file.byteLength);
    return toSource(input, chunkBytes ?? Infinity);
  }
  if (typeof file === "object" && file !== null && "pipe" in file) {
    // One with a path is read by its path, piece by piece, as often as needed.
    const hasPath = "path" in file && typeof file.path === "string";
    // Its types leave out the Node streams that it takes.
    return toSource(file as unknown as TusInput, chunkBytes ?? (hasPath ? Infinity : STREAM_CHUNK_BYTES));
  }
  throw new HoldfastClientError(
    "INVALID_OPTION",
    "upload takes a File, Blob, Buffer, Uint8Array or Node stream",
  );
}

function toSource(input: TusInput, chunkSize: number): TusSource {
  let opened: Promise<FileSource> | undefined;
  const open = (): Promise<FileSource> => (opened ??= defaultOptions.fileReader.openFile(input, chunkSize));
  return {
    input,
    chunkSize,
    reader: { openFile: open },
    measure: async () => {
      // tus' types promise a number; a stream of unknown length has none.
      const { size }: { size: number | null } = await open();
      return size;
    },
  };
}
