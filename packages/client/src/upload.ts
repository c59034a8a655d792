import { UploadJob } from "./upload-job.js";
import type { UploadHandle } from "./upload-handle.js";
import { assertUploadOptions, type UploadOptions, type UploadSource } from "./upload-options.js";

export type { UploadHandle, UploadRetry, UploadState } from "./upload-handle.js";
export type { ReadableLike, UploadOptions, UploadSource, UploadStorage } from "./upload-options.js";

/** Throws HoldfastClientError UNKNOWN_OPTION or INVALID_OPTION; everything later is in the handle. */
export function upload(file: UploadSource, options: UploadOptions = {}): UploadHandle {
  assertUploadOptions(options);
  return new UploadJob(file, options);
}
