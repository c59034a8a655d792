/**
 * Which unfinished upload a file goes on with. A page can't keep a File over a reload, but the server keeps the upload: name, size and
 * time of the last change tell that it is the same file, as tus' own fingerprint does.
 */
import type { Task } from "@holdfast/client";
import type { UploadStorage } from "@holdfast/client/upload";

/** What a File tells about itself. */
export interface FileTraits {
  readonly name: string;
  readonly size: number;
  readonly lastModified: number;
}

/** Kept with the task, so that it is known again on another day and in another browser. */
export function toFileMetadata({ lastModified }: FileTraits): { readonly lastModified: string } {
  return { lastModified: String(lastModified) };
}

function isUnfinishedUpload(task: Task): boolean {
  return task.kind === "upload" && (task.status === "pending" || task.status === "uploading");
}

/** Whether the file is the one that this upload began with. */
function isSameFile(task: Task, file: FileTraits): boolean {
  const { lastModified } = task.metadata;
  return (
    task.filename === file.name &&
    task.total === file.size &&
    // Begun by something else than this page, it names no time: name and size must do.
    (lastModified === undefined || lastModified === String(file.lastModified))
  );
}

export function findUnfinished(tasks: Iterable<Task>, file: FileTraits): Task | undefined {
  for (const task of tasks) if (isUnfinishedUpload(task) && isSameFile(task, file)) return task;
  return undefined;
}

type StoredUpload = Awaited<ReturnType<UploadStorage["findUploadsByFingerprint"]>>[number];

/** Tells the client's upload where to go on: what the stream's snapshots say takes the place of records in this browser. */
export function toUploadStorage(task: Task | undefined, uploadUrl: string): UploadStorage {
  const record: StoredUpload | undefined = task && {
    size: task.total,
    metadata: task.batchId === null ? {} : { batchId: task.batchId },
    creationTime: new Date(task.createdAt * 1000).toISOString(),
    urlStorageKey: task.id,
    uploadUrl,
    parallelUploadUrls: null,
  };
  return {
    findUploadsByFingerprint: async () => (record === undefined ? [] : [record]),
    addUpload: async () => "",
    removeUpload: async () => undefined,
  };
}
