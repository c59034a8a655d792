/**
 * Uploads over a service without a door and a directory of their own: for the tests of what starts and disks do.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, expect } from "vitest";
import type { BlobStore } from "../blobs/blob-store.js";
import { FileBlobStore } from "../blobs/file-blob-store.js";
import type { TaskRow } from "../tasks/task-row.js";
import { Service } from "../testing/service.js";
import type { Incoming } from "./incoming.js";
import { Uploads, type UploadSettings } from "./uploads.js";

const SETTINGS: UploadSettings = { maxUploadBytes: null, minFreeDiskBytes: 0, readTimeoutMs: 60_000 };

export interface UploadsFixture {
  /** New for each test; it must have met no error by the end. */
  readonly service: Service;
  readonly directory: string;
  /** As a start of the server makes them. */
  readonly start: (blobs?: BlobStore, settings?: Partial<UploadSettings>) => Uploads;
  /** The file of an upload. */
  readonly path: (row: TaskRow) => string;
}

/** Registers its hooks in the file that calls it. */
export function useUploads(): UploadsFixture {
  let directory = "";
  let service = new Service();

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "holdfast-uploads-"));
    service = new Service();
  });

  afterEach(async () => {
    expect(service.errors).toEqual([]);
    await service.close();
    rmSync(directory, { recursive: true, force: true });
  });

  return {
    get service() {
      return service;
    },
    get directory() {
      return directory;
    },
    start: (blobs = new FileBlobStore(directory), settings = {}) =>
      new Uploads({
        tasks: service.tasks,
        blobs,
        settings: { ...SETTINGS, ...settings },
        onError: (error) => service.errors.push(error),
      }),
    path: (row) => join(directory, row.blobKey?.slice(0, 2) ?? "", row.blobKey ?? ""),
  };
}

export async function create(
  uploads: Uploads,
  total: number | null = 10,
  processing: "none" | "external" = "none",
): Promise<TaskRow> {
  return await uploads.create({
    filename: "f",
    total,
    metadata: {},
    batchId: null,
    processing,
    tusMetadata: null,
  });
}

export function bytes(text: string, fields: Partial<Incoming> = {}): Incoming {
  const source = Readable.from([Buffer.from(text)]);
  return {
    kind: "tus",
    source,
    offset: 0,
    length: text.length,
    total: null,
    isWhole: () => source.readableEnded,
    ...fields,
  };
}

/** A disk that behaves otherwise in what is named. */
export function wrap(blobs: BlobStore, other: Partial<BlobStore>): BlobStore {
  return {
    length: async (key) => await blobs.length(key),
    append: async (key, source, options) => await blobs.append(key, source, options),
    sync: async (key) => await blobs.sync(key),
    read: (key, range) => blobs.read(key, range),
    remove: async (key) => await blobs.remove(key),
    freeBytes: async () => await blobs.freeBytes(),
    ...other,
  };
}
