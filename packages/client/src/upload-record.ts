import { defaultOptions } from "tus-js-client";
import type { TusInput } from "./tus-source.js";
import type { UploadOptions, UploadStorage } from "./upload-options.js";

/**
 * Where an unfinished upload is remembered over a reload: its URL under a fingerprint of the file. A storage that fails (private
 * mode, quota) costs the resuming, never the upload.
 */
export class UploadRecord {
  readonly #storage: UploadStorage;
  readonly #endpoint: string;
  readonly #batchId: string | undefined;
  readonly #taskId: string | undefined;
  #fingerprint: string | null = null;
  #key: string | undefined;
  #saved = false;

  constructor(endpoint: string, { storage, batchId, taskId }: UploadOptions) {
    this.#storage = storage ?? defaultOptions.urlStorage;
    this.#endpoint = endpoint;
    this.#batchId = batchId;
    this.#taskId = taskId;
  }

  /** The newest upload of the same file to the same batch, under the id if one was named, that is not `active` in this page. */
  async find(input: TusInput, size: number | null, active: ReadonlySet<string>): Promise<string | undefined> {
    try {
      await this.#identify(input);
      if (this.#fingerprint === null) return undefined;
      const found = (await this.#storage.findUploadsByFingerprint(this.#fingerprint))
        .filter(({ uploadUrl, metadata, ...previous }) => {
          if (uploadUrl === null || active.has(uploadUrl) || previous.size !== size) return false;
          const named = this.#taskId === undefined || uploadUrl.endsWith(`/${this.#taskId}`);
          return named && metadata.batchId === this.#batchId;
        })
        .toSorted((a, b) => Date.parse(b.creationTime) - Date.parse(a.creationTime))
        .at(0);
      if (found === undefined) return undefined;
      this.#key = found.urlStorageKey;
      this.#saved = true;
      return found.uploadUrl ?? undefined;
    } catch {
      // No storage, no resuming.
      return undefined;
    }
  }

  /** Computes what the file is known by; without it nothing is saved. */
  async #identify(input: TusInput): Promise<void> {
    // A Blob without a name would be taken for any other of its size.
    if (typeof Blob !== "undefined" && input instanceof Blob && !("name" in input)) return;
    // tus' types know files of browsers only; its fingerprint in Node takes what its Upload takes.
    this.#fingerprint = await defaultOptions.fingerprint(input as File, { endpoint: this.#endpoint });
  }

  async save(uploadUrl: string, size: number | null): Promise<void> {
    if (this.#saved || this.#fingerprint === null) return;
    this.#saved = true;
    const metadata: { [key: string]: string } = this.#batchId === undefined ? {} : { batchId: this.#batchId };
    try {
      this.#key = await this.#storage.addUpload(this.#fingerprint, {
        size,
        metadata,
        creationTime: new Date().toISOString(),
        urlStorageKey: "",
        uploadUrl,
        parallelUploadUrls: null,
      });
    } catch {
      // Quota or private mode: the upload goes on, a reload begins anew.
    }
  }

  async forget(): Promise<void> {
    const key = this.#key;
    this.#key = undefined;
    this.#saved = false;
    if (key === undefined) return;
    try {
      await this.#storage.removeUpload(key);
    } catch {
      // What stays behind is found once more, answered 404 by the server, and forgotten then.
    }
  }
}
