/**
 * What the page shows and does: rows from the batch's stream and this page's own transfers, the overall bar, the connection, and the
 * acts behind the buttons.
 *
 * A row is named by its task's id from the start (the page picks it), so it never changes place when the server answers. Rows taken off
 * the list stay off after a reload; when none is left, the next files begin a fresh batch. Views read its signals; nothing here knows
 * the DOM. Called by main.tsx.
 */
import { computed, effect, signal, untracked, type ReadonlySignal, type Signal } from "@preact/signals";
import type { HoldfastApi, Task, TaskId } from "@holdfast/client";
import type { UploadHandle, UploadOptions } from "@holdfast/client/upload";
import type { BatchSession } from "./batch-session.js";
import { toConnectionView, type ConnectionView } from "./connection-view.js";
import { toOverallView, type OverallView } from "./overall-view.js";
import type { PageStorage } from "./page-storage.js";
import { isEnded, toRowView, type RowAction, type RowSources, type RowView } from "./row-view.js";
import { Transfers } from "./transfers.js";
import { findUnfinished, toFileMetadata, toUploadStorage } from "./unfinished.js";

export type Notice = "cancel-failed" | "folders-skipped" | "refused";

export interface BoardOptions {
  readonly session: BatchSession;
  readonly api: Pick<HoldfastApi, "baseUrl" | "cancelTask" | "cancelUpload">;
  readonly upload: (file: File, options: UploadOptions) => UploadHandle;
  readonly storage: PageStorage;
  /** Unix milliseconds, moving once a second. */
  readonly clock: ReadonlySignal<number>;
  readonly online: ReadonlySignal<boolean>;
  readonly createId: () => string;
  readonly setTimer: (act: () => void, delayMs: number) => void;
}

// Three missed updates of a moving upload: then nobody is sending it any more.
const MOVED_LATELY_MS = 3000;

export class Board {
  readonly rows: ReadonlySignal<readonly RowView[]>;
  readonly overall: ReadonlySignal<OverallView>;
  readonly connection: ReadonlySignal<ConnectionView>;
  readonly notice: Signal<Notice | null> = signal(null);
  readonly #options: BoardOptions;
  readonly #transfers: Transfers;
  readonly #order: Signal<readonly string[]> = signal([]);
  readonly #hidden: Signal<ReadonlySet<string>>;
  readonly #keys: ReadonlySignal<readonly string[]>;
  readonly #views = new Map<string, { readonly sources: RowSources; readonly view: RowView }>();
  #shown: readonly RowView[] = [];

  constructor(options: BoardOptions) {
    this.#options = options;
    const { session, clock, online, setTimer, storage } = options;
    this.#hidden = signal(new Set(parseKeys(storage.read("hidden"))));
    this.#transfers = new Transfers({ startUpload: (key, file) => this.#startUpload(key, file), setTimer });
    effect(() => {
      const held = session.batchId.value === null;
      untracked(() => this.#transfers.hold(held));
    });
    this.#keys = computed(() => {
      const tasks = session.tasks.value;
      const order = this.#order.value;
      const known = new Set(order);
      const others = [...tasks.values()].filter(({ id }) => !known.has(id));
      const keys = [...order, ...others.toSorted((a, b) => a.createdAt - b.createdAt).map(({ id }) => id)];
      return keys.filter((key) => !this.#hidden.value.has(key));
    });
    this.rows = computed(() => this.#readRows());
    this.overall = computed(() => toOverallView(this.rows.value));
    this.connection = computed(() => toConnectionView(session.state.value, online.value, clock.value));
    const live = computed(() => this.connection.value.state === "live");
    effect(() => {
      if (live.value) untracked(() => this.#transfers.nudge());
    });
  }

  get batchId(): ReadonlySignal<string | null> {
    return this.#options.session.batchId;
  }

  /** A file that an unfinished row waits for goes on there; every other begins a new row. */
  add(files: readonly File[]): void {
    const { session } = this.#options;
    if (this.#isRefused()) return;
    if (session.state.value.kind === "ended") session.renew(true);
    const waiting = this.rows.value.filter(({ status }) => status === "needs-file").map(({ key }) => key);
    const unfinished = new Map(waiting.map((key) => [key, session.tasks.value.get(key as TaskId)] as const));
    for (const file of files) {
      const task = findUnfinished([...unfinished.values()].filter(isTask), file);
      if (task !== undefined) unfinished.delete(task.id);
      this.#send(task?.id ?? this.#options.createId(), file, task !== undefined);
    }
  }

  /** The file for one row: goes on where it is the same, begins anew in its place where it is not. */
  choose(key: string, file: File): void {
    if (this.#isRefused()) return;
    const task = this.#options.session.tasks.value.get(key as TaskId);
    const same = task === undefined ? undefined : findUnfinished([task], file);
    if (same !== undefined) this.#send(key, file, true);
    else this.#replace(key, file);
  }

  async act(key: string, action: Exclude<RowAction, "choose" | "download">): Promise<void> {
    const transfer = this.#transfers.items.value.get(key);
    switch (action) {
      case "pause":
        this.#transfers.pause(key);
        return;
      case "resume":
        this.#transfers.resume(key);
        return;
      case "retry":
        if (this.#isRefused()) return;
        if (transfer?.failure?.kind === "list-closed") this.#options.session.renew(true);
        if (transfer !== undefined) this.#replace(key, transfer.file);
        return;
      case "remove":
        this.#hide([key]);
        return;
      case "cancel":
        await this.#cancel(key);
    }
  }

  clearEnded(): void {
    this.#hide(this.rows.value.filter(isEnded).map(({ key }) => key));
  }

  /** Nothing can start on a page that the server refuses; a row that waits for ever would promise otherwise. */
  #isRefused(): boolean {
    const refused = this.#options.session.state.value.kind === "refused";
    if (refused) this.notice.value = "refused";
    return refused;
  }

  #send(key: string, file: File, begun: boolean): void {
    // What stands on the list keeps its place; the new one comes last.
    const keys = this.#keys.value;
    this.#order.value = keys.includes(key) ? keys : [...keys, key];
    this.#transfers.drop(key);
    this.#transfers.add(key, file, begun);
  }

  #replace(key: string, file: File): void {
    const fresh = this.#options.createId();
    this.#order.value = this.#keys.value.map((other) => (other === key ? fresh : other));
    const task = this.#options.session.tasks.value.get(key as TaskId);
    // Left unfinished, the server would keep its bytes until they expire.
    if (task?.endedAt === null) void this.#cancel(key);
    this.#hide([key]);
    this.#send(fresh, file, false);
  }

  #hide(keys: readonly string[]): void {
    for (const key of keys) {
      this.#transfers.drop(key);
      this.#views.delete(key);
    }
    const gone = new Set(keys);
    this.#order.value = this.#order.value.filter((key) => !gone.has(key));
    this.#hidden.value = new Set([...this.#hidden.value, ...keys]);
    if (this.#keys.value.length === 0) {
      this.#options.session.renew(false);
      this.#hidden.value = new Set();
    }
    this.#options.storage.write("hidden", JSON.stringify([...this.#hidden.value]));
  }

  async #cancel(key: string): Promise<void> {
    const { api, session } = this.#options;
    try {
      const phase = this.#transfers.items.value.get(key)?.phase;
      if (phase !== undefined && phase !== "done" && phase !== "failed" && phase !== "sent") {
        await this.#transfers.cancel(key);
      } else if (session.tasks.value.get(key as TaskId)?.kind === "task") await api.cancelTask(key);
      else await api.cancelUpload(key);
    } catch {
      // Whatever hindered it, the row goes on showing the truth; the notice says that the wish was not met.
      this.notice.value = "cancel-failed";
    }
  }

  #startUpload(key: string, file: File): UploadHandle {
    const { session, api, upload } = this.#options;
    const task = session.tasks.value.get(key as TaskId);
    const batchId = task?.batchId ?? session.batchId.value;
    return upload(file, {
      taskId: key,
      ...(batchId === null ? {} : { batchId }),
      metadata: toFileMetadata(file),
      storage: toUploadStorage(task, `${api.baseUrl}/uploads/${key}`),
    });
  }

  /** The same array and the same objects where nothing changed, so that views need not look deeper. */
  #readRows(): readonly RowView[] {
    const { session, clock } = this.#options;
    const tasks = session.tasks.value;
    const transfers = this.#transfers.items.value;
    const now = clock.value;
    const rows = this.#keys.value.map((key) => {
      const movedLately = now - (session.movedAtMs.get(key) ?? 0) < MOVED_LATELY_MS;
      return this.#readRow({
        key,
        task: tasks.get(key as TaskId),
        transfer: transfers.get(key),
        movedLately,
      });
    });
    const same = rows.length === this.#shown.length && rows.every((row, index) => row === this.#shown[index]);
    if (!same) this.#shown = rows;
    return this.#shown;
  }

  #readRow(sources: RowSources): RowView {
    const known = this.#views.get(sources.key);
    if (
      known !== undefined &&
      known.sources.task === sources.task &&
      known.sources.transfer === sources.transfer &&
      known.sources.movedLately === sources.movedLately
    ) {
      return known.view;
    }
    const view = toRowView(sources);
    this.#views.set(sources.key, { sources, view });
    return view;
  }
}

function isTask(task: Task | undefined): task is Task {
  return task !== undefined;
}

function parseKeys(text: string | null): readonly string[] {
  try {
    const keys: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(keys) ? keys.filter((key) => typeof key === "string") : [];
  } catch {
    // Written by something else: nothing is hidden, which is the safe side.
    return [];
  }
}
