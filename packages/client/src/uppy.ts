/**
 * A plugin for Uppy: its own bars show what the server has stored instead of what left the browser, and an upload that a producer goes on
 * with is processing until it has ended.
 *
 * It promises that the upload's result waits for each task's ending, that a task which failed or was cancelled is a failed file, and
 * that a file which is removed takes its watch with it. It sends nothing: @uppy/tus does. Which task a file is, it reads from the URL
 * that the server gave the upload.
 */
import {
  BasePlugin,
  type Body,
  type Meta,
  type PluginOpts,
  type Uppy,
  type UppyEventMap,
  type UppyFile,
} from "@uppy/core";
import type { Task } from "@holdfast/protocol";
import { resolveUrl } from "./option-check.js";
import type { RequestHeaders } from "./request-headers.js";
import type { Watcher } from "./watch-registry.js";
import { watchTask, type TaskWatch } from "./watch-task.js";

export interface HoldfastProgressOptions extends PluginOpts {
  /** How to watch, `createSharedStreams()` for one; else each upload has a stream of its own, at the server that has taken it. */
  readonly watcher?: Watcher;
  /** For streams of their own. */
  readonly headers?: RequestHeaders;
  readonly withCredentials?: boolean;
}

/** What `getPluginState()` gives. */
export interface HoldfastProgressState extends Record<string, unknown> {
  /** By Uppy's id of the file; stage, result and error are there. */
  readonly tasks: { readonly [fileId: string]: Task };
}

interface WatchedFile {
  readonly url: string;
  readonly watch: TaskWatch;
}

export class HoldfastProgress<M extends Meta, B extends Body> extends BasePlugin<
  HoldfastProgressOptions,
  M,
  B,
  HoldfastProgressState
> {
  readonly #watched = new Map<string, WatchedFile>();
  /** While the event is of this plugin. */
  #telling = false;

  constructor(uppy: Uppy<M, B>, options: HoldfastProgressOptions = {}) {
    super(uppy, options);
    this.id = options.id ?? "HoldfastProgress";
    this.type = "progressindicator";
  }

  override install(): void {
    this.setPluginState({ tasks: {} });
    this.uppy.on("upload-progress", this.#onProgress);
    this.uppy.on("upload-success", this.#onSuccess);
    this.uppy.on("file-removed", this.#onGone);
    this.uppy.on("upload-retry", this.#onGone);
    this.uppy.addPostProcessor(this.#awaitEndings);
  }

  override uninstall(): void {
    this.uppy.off("upload-progress", this.#onProgress);
    this.uppy.off("upload-success", this.#onSuccess);
    this.uppy.off("file-removed", this.#onGone);
    this.uppy.off("upload-retry", this.#onGone);
    this.uppy.removePostProcessor(this.#awaitEndings);
    for (const id of this.#watched.keys()) this.#unwatch(id);
  }

  /** Uppy's own handler has taken in how much was sent; how much is stored stands for that. */
  readonly #onProgress: UppyEventMap<M, B>["upload-progress"] = (file) => {
    if (this.#telling || file === undefined) return;
    const uploadUrl = readUploadUrl(this.#find(file.id));
    if (uploadUrl !== undefined) this.#watch(file.id, uploadUrl);
    const watch = this.#watched.get(file.id)?.watch;
    // Where nothing can be watched, what was sent is all that is known.
    if (watch !== undefined && watch.connection.state !== "waiting" && watch.connection.state !== "closed")
      this.#showStored(file.id, watch.task?.uploaded ?? 0);
  };

  readonly #onSuccess: UppyEventMap<M, B>["upload-success"] = (file, { uploadURL }) => {
    if (file !== undefined && uploadURL !== undefined) this.#watch(file.id, uploadURL);
  };

  readonly #onGone = ({ id }: UppyFile<M, B>): void => this.#unwatch(id);

  readonly #awaitEndings = async (fileIds: string[]): Promise<void> => {
    await Promise.all(fileIds.map(async (id) => await this.#awaitEnding(id)));
  };

  #watch(fileId: string, uploadUrl: string): void {
    const known = this.#watched.get(fileId);
    if (known?.url === uploadUrl) return;
    known?.watch.close();
    const url = new URL(resolveUrl(uploadUrl));
    const [taskId = ""] = url.pathname.split("/").slice(-1);
    const { watcher, headers, withCredentials } = this.opts;
    const watch =
      watcher?.watchTask(taskId) ??
      watchTask(taskId, {
        baseUrl: new URL("..", url),
        ...(headers === undefined ? {} : { headers }),
        ...(withCredentials === undefined ? {} : { withCredentials }),
      });
    this.#watched.set(fileId, { url: uploadUrl, watch });
    let seen: Task | null = null;
    watch.subscribe(() => {
      const { task } = watch;
      if (task === null || task === seen || this.#watched.get(fileId)?.watch !== watch) return;
      seen = task;
      this.#show(fileId, task);
    });
  }

  #unwatch(fileId: string): void {
    this.#watched.get(fileId)?.watch.close();
    this.#watched.delete(fileId);
    const { [fileId]: _gone, ...tasks } = this.getPluginState().tasks;
    this.setPluginState({ tasks });
  }

  #show(fileId: string, task: Task): void {
    this.setPluginState({ tasks: { ...this.getPluginState().tasks, [fileId]: task } });
    const file = this.#find(fileId);
    if (file === undefined) return;
    if (file.progress.postprocess !== undefined) {
      // All bytes are here, so the bar stands at its end and a producer's percentage has no place on it. [wire: bytes-stored]
      this.uppy.emit("postprocess-progress", file, {
        mode: "indeterminate",
        message: task.stage ?? task.status,
      });
    } else if (file.progress.uploadStarted !== null && file.progress.uploadComplete !== true) {
      this.#telling = true;
      this.uppy.emit("upload-progress", file, {
        ...file.progress,
        bytesUploaded: task.uploaded,
        bytesTotal: file.size ?? task.total,
      });
      this.#telling = false;
    }
  }

  #showStored(fileId: string, stored: number): void {
    const file = this.#find(fileId);
    if (file === undefined || file.progress.uploadStarted === null) return;
    const { bytesTotal } = file.progress;
    const percentage = bytesTotal === null || bytesTotal === 0 ? 0 : Math.round((stored / bytesTotal) * 100);
    this.uppy.setFileState(fileId, { progress: { ...file.progress, bytesUploaded: stored, percentage } });
  }

  async #awaitEnding(fileId: string): Promise<void> {
    const watch = this.#watched.get(fileId)?.watch;
    const before = this.#find(fileId);
    if (watch === undefined || before === undefined || before.error) return;
    if (watch.task !== null) this.#show(fileId, watch.task);
    const failure = await watch.ending.then(
      (ending) => {
        if (ending.type === "complete") return null;
        return new Error(ending.type === "failed" ? ending.data.error.message : "the task was cancelled");
      },
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    const file = this.#find(fileId);
    // Removed or begun anew meanwhile.
    if (file === undefined || this.#watched.get(fileId)?.watch !== watch) return;
    if (failure === null) this.uppy.emit("postprocess-complete", file);
    else this.#fail(file, failure);
  }

  #fail(file: UppyFile<M, B>, error: Error): void {
    // A retry has to begin anew: this upload has ended.
    const anew: Partial<UppyFile<M, B>> & { readonly tus: undefined } = {
      tus: undefined,
      progress: {
        uploadStarted: null,
        bytesUploaded: false,
        bytesTotal: file.size,
        percentage: 0,
        uploadComplete: false,
      },
    };
    this.uppy.setFileState(file.id, anew);
    this.uppy.emit("upload-error", file, error);
  }

  /** `getFile` says that there is one always. */
  #find(fileId: string): UppyFile<M, B> | undefined {
    return this.uppy.getState().files[fileId];
  }
}

/** Where @uppy/tus keeps it; its types are not needed here. */
function readUploadUrl(file: object | undefined): string | undefined {
  const tus: unknown = file === undefined ? undefined : Reflect.get(file, "tus");
  const url: unknown = typeof tus === "object" && tus !== null ? Reflect.get(tus, "uploadUrl") : undefined;
  return typeof url === "string" ? url : undefined;
}
