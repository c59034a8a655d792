/**
 * The request headers of tus 1.0.0, strictly: a number that is no number is refused, not read as far as it goes.
 */
import { parseBatchId, parseTaskId, type BatchId, type TaskId } from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";

export const TUS_VERSION = "1.0.0";
export const TUS_EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration";
/** [tus PATCH] the only media type bytes may have. */
export const TUS_BYTES = "application/offset+octet-stream";

/** What `Upload-Metadata` says; `raw` goes back in HEAD as it came. */
export interface TusMetadata {
  readonly raw: string | null;
  readonly filename: string | null;
  readonly taskId: TaskId | undefined;
  readonly batchId: BatchId | null;
  readonly processing: "none" | "external";
  readonly rest: { readonly [key: string]: string };
}

/** A file name is shown to people; longer ones are cut by every file system anyway. */
const MAX_FILENAME_CHARS = 255;

/** Bytes as a header gives them. Throws INVALID_REQUEST. */
export function parseByteCount(name: string, text: string): number {
  const bytes = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new HoldfastError(
    "INVALID_REQUEST",
    `${name} must be a whole number of bytes up to ${Number.MAX_SAFE_INTEGER}: got ${JSON.stringify(text.slice(0, 80))}`,
    { field: name },
  );
}

/** [tus Creation] `key base64,key base64`; a key alone has an empty value. Throws INVALID_REQUEST, INVALID_FIELD. */
export function parseTusMetadata(raw: string | undefined): TusMetadata {
  const pairs = new Map<string, string>();
  for (const pair of raw === undefined || raw.trim() === "" ? [] : raw.split(",")) {
    const match = /^\s*([^\s,]+)(?: ([A-Za-z0-9+/]*={0,2}))?\s*$/.exec(pair);
    const [, key, value = ""] = match ?? [];
    if (key === undefined || pairs.has(key)) {
      throw new HoldfastError(
        "INVALID_REQUEST",
        `Upload-Metadata must be pairs of a key and a base64 value, each key once: got ${JSON.stringify(pair.slice(0, 80))}`,
        { field: "Upload-Metadata" },
      );
    }
    pairs.set(key, Buffer.from(value, "base64").toString("utf8"));
  }
  const { filename, taskId, batchId, processing, ...rest } = Object.fromEntries(pairs);
  return {
    raw: raw ?? null,
    filename: filename === undefined ? null : toFilename(filename),
    taskId: taskId === undefined ? undefined : (parseTaskId(taskId) ?? refuse("taskId", taskId, "an id")),
    batchId: batchId === undefined ? null : (parseBatchId(batchId) ?? refuse("batchId", batchId, "an id")),
    processing: parseProcessing(processing),
    rest,
  };
}

export function parseProcessing(value: string | undefined): "none" | "external" {
  if (value === undefined || value === "none") return "none";
  return value === "external" ? value : refuse("processing", value, "none or external");
}

/** A name to show, never a path: what a client sends before the last slash or backslash, and control characters, are dropped. */
export function toFilename(text: string): string | null {
  const base = text.split(/[/\\]/).at(-1) ?? "";
  // oxlint-disable-next-line no-control-regex -- these are what must not reach a header or a terminal
  const name = base.replaceAll(/[\u0000-\u001f\u007f\u202a-\u202e\u2066-\u2069]/g, "").trim();
  return name === "" ? null : name.slice(0, MAX_FILENAME_CHARS);
}

function refuse(field: string, got: string, expected: string): never {
  throw new HoldfastError(
    "INVALID_FIELD",
    `${field} must be ${expected}: got ${JSON.stringify(got.slice(0, 80))}`,
    {
      field,
    },
  );
}
