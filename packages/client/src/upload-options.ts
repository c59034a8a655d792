import { parseBatchId, parseTaskId, type TaskId } from "@holdfast/protocol";
import type { UrlStorage } from "tus-js-client";
import { HoldfastClientError } from "./client-error.js";
import type { HoldfastApiOptions } from "./holdfast-api.js";
import { assertAtLeast, assertKnownOptions } from "./option-check.js";
import type { RequestHeaders } from "./request-headers.js";
import { INTERNALS, type StreamInternals } from "./stream-options.js";

/** Where the URLs of unfinished uploads are kept; tus-js-client's own storages fit. */
export type UploadStorage = Pick<UrlStorage, "findUploadsByFingerprint" | "addUpload" | "removeUpload">;

/** A Node stream, as `fs.createReadStream(path)` gives; one without a path can be read only once, so a retry keeps one chunk of it. */
export interface ReadableLike {
  readonly readable: boolean;
  pipe(destination: never): unknown;
}

/** Browsers: File or Blob. Node: Buffer, Uint8Array or a stream. */
export type UploadSource = Blob | Uint8Array<ArrayBuffer> | ReadableLike;

export interface UploadOptions {
  /** Where the API lives, with its base path; `/api/v1` of the page. */
  readonly baseUrl?: string | URL;
  /** The file's own name where it has one. */
  readonly filename?: string;
  /** The file's own media type where it has one. */
  readonly filetype?: string;
  /** Kept with the task; text by name. */
  readonly metadata?: { readonly [key: string]: string };
  /** Joins this batch. */
  readonly batchId?: string;
  /** `none`: complete with the last byte. `external`: a producer goes on with it. The server's default is `none`. */
  readonly processing?: "none" | "external";
  /** The task's id; else a random one. */
  readonly taskId?: string;
  /** Bytes per request at most; all in one. It becomes less where something on the way refuses or swallows larger ones. */
  readonly chunkSize?: number;
  readonly headers?: RequestHeaders;
  readonly withCredentials?: boolean;
  /** Cancels it, on the server too. */
  readonly signal?: AbortSignal;
  /** Goes on with an unfinished upload of the same file to the same batch, from before a reload; true. */
  readonly resume?: boolean;
  /** localStorage in browsers, none in Node. */
  readonly storage?: UploadStorage;
  /** Retries since the last byte that was stored; Infinity. */
  readonly maxRetries?: number;
  /** Milliseconds; base of the backoff. 1000. */
  readonly retryDelay?: number;
  /** Bytes that left this machine; how many are stored is what the stream says. */
  readonly onProgress?: (sent: number, total: number | null) => void;
  /** For the calls beside the upload itself. */
  readonly fetch?: typeof fetch;
  /** @internal */
  readonly [INTERNALS]?: StreamInternals;
}

const KNOWN: { readonly [K in Extract<keyof UploadOptions, string>]-?: true } = {
  baseUrl: true,
  filename: true,
  filetype: true,
  metadata: true,
  batchId: true,
  processing: true,
  taskId: true,
  chunkSize: true,
  headers: true,
  withCredentials: true,
  signal: true,
  resume: true,
  storage: true,
  maxRetries: true,
  retryDelay: true,
  onProgress: true,
  fetch: true,
};

const RESERVED: ReadonlySet<string> = new Set(["filename", "filetype", "batchId", "taskId", "processing"]);

/** Throws UNKNOWN_OPTION or INVALID_OPTION. */
export function assertUploadOptions(options: UploadOptions): void {
  assertKnownOptions(options, KNOWN, "upload");
  const { batchId, taskId, chunkSize, maxRetries, retryDelay, processing } = options;
  if (batchId !== undefined && parseBatchId(batchId) === undefined) refuse(`"${batchId}" is no batch id`);
  if (taskId !== undefined && parseTaskId(taskId) === undefined) refuse(`"${taskId}" is no task id`);
  if (processing !== undefined && processing !== "none" && processing !== "external") {
    refuse(`processing must be "none" or "external", got "${String(processing)}"`);
  }
  assertAtLeast({ chunkSize }, 1, "chunkSize");
  assertAtLeast({ maxRetries, retryDelay }, 0, "maxRetries", "retryDelay");
  for (const key of Object.keys(options.metadata ?? {})) {
    if (RESERVED.has(key)) refuse(`metadata.${key} has an option of its own; set ${key} instead`);
    // [tus creation] a key is not empty and has no space and no comma.
    if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(key))
      refuse(`metadata key "${key}" must be ASCII without space or comma`);
  }
}

function refuse(message: string): never {
  throw new HoldfastClientError("INVALID_OPTION", message);
}

/** What goes into `Upload-Metadata`. */
export function toTusMetadata(
  file: UploadSource,
  options: UploadOptions,
  taskId: TaskId,
): { [key: string]: string } {
  const own = typeof File !== "undefined" && file instanceof File ? file.name : undefined;
  const type =
    typeof Blob !== "undefined" && file instanceof Blob && file.type !== "" ? file.type : undefined;
  const { filename = own, filetype = type, batchId, processing } = options;
  return {
    ...options.metadata,
    ...(filename === undefined ? {} : { filename }),
    ...(filetype === undefined ? {} : { filetype }),
    ...(batchId === undefined ? {} : { batchId }),
    ...(processing === undefined ? {} : { processing }),
    taskId,
  };
}

/** The options that the calls beside the upload share with it. */
export function toApiOptions({
  baseUrl,
  headers,
  withCredentials,
  fetch,
  ...rest
}: UploadOptions): HoldfastApiOptions {
  const internals = rest[INTERNALS];
  return {
    ...(baseUrl === undefined ? {} : { baseUrl }),
    ...(headers === undefined ? {} : { headers }),
    ...(withCredentials === undefined ? {} : { withCredentials }),
    ...(fetch === undefined ? {} : { fetch }),
    ...(internals === undefined ? {} : { [INTERNALS]: internals }),
  };
}
