/**
 * The files this page is sending: which run, which wait, and how each stands. Built on the client's `upload()`.
 *
 * It promises that at most MAX_RUNNING send at once, that a paused or ended one frees its place, and that `items` changes at most once
 * per PUBLISH_MS while bytes merely move (handles report far more often than a person can see). It says nothing about what is stored:
 * that is the stream's word. Called by board.ts.
 */
import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import type { UploadHandle } from "@holdfast/client/upload";
import { fromClientError, type Failure } from "./failure.js";
import { admit, EMPTY_QUEUE, enqueue, leave, type TransferQueue } from "./transfer-queue.js";

export type TransferPhase =
  | "queued"
  | "starting"
  | "sending"
  | "retrying"
  | "paused"
  | "sent"
  | "done"
  | "failed"
  | "cancelled";

/** One file as it stands; a new object whenever something changed. */
export interface Transfer {
  readonly key: string;
  readonly file: File;
  readonly phase: TransferPhase;
  /** False until the server was asked to make the task. */
  readonly begun: boolean;
  readonly sentBytes: number;
  /** Unix milliseconds; set while `retrying`. */
  readonly retryAtMs: number | null;
  readonly failure: Failure | null;
}

export interface TransfersOptions {
  /** Begins to send; called when a place is free. */
  readonly startUpload: (key: string, file: File) => UploadHandle;
  readonly setTimer: (act: () => void, delayMs: number) => void;
}

// Four pictures a second, as often as the stream itself speaks.
const PUBLISH_MS = 250;

export class Transfers {
  readonly #items: Signal<ReadonlyMap<string, Transfer>> = signal(new Map());
  readonly #options: TransfersOptions;
  readonly #handles = new Map<string, UploadHandle>();
  #queue: TransferQueue = EMPTY_QUEUE;
  #held = true;
  #publishing = false;
  /** Paused for a moment only, which nobody is to see. */
  #nudging: string | null = null;

  constructor(options: TransfersOptions) {
    this.#options = options;
  }

  get items(): ReadonlySignal<ReadonlyMap<string, Transfer>> {
    return this.#items;
  }

  /** While held nothing starts: there is no batch yet to put it in. */
  hold(held: boolean): void {
    this.#held = held;
    this.#admit();
  }

  add(key: string, file: File, begun = false): void {
    this.#set({ key, file, phase: "queued", begun, sentBytes: 0, retryAtMs: null, failure: null });
    this.#queue = enqueue(this.#queue, key);
    this.#admit();
  }

  pause(key: string): void {
    const handle = this.#handles.get(key);
    if (handle === undefined) return;
    handle.pause();
    this.#read(key);
  }

  /** Waits for a place, before those that never began. */
  resume(key: string): void {
    const item = this.#items.value.get(key);
    if (item?.phase !== "paused") return;
    this.#set({ ...item, phase: "queued" });
    this.#queue = enqueue(this.#queue, key, true);
    this.#admit();
  }

  /** The server was just heard: whoever waits for its next attempt need not wait. */
  nudge(): void {
    for (const key of this.#queue.running) {
      const handle = this.#handles.get(key);
      if (handle === undefined || handle.retry === null) continue;
      this.#nudging = key;
      handle.pause();
      handle.resume();
      this.#nudging = null;
      this.#read(key);
    }
  }

  /** Rejects when the server could not be told; here it has ended all the same. */
  async cancel(key: string): Promise<void> {
    const item = this.#items.value.get(key);
    if (item === undefined) return;
    const handle = this.#handles.get(key);
    if (handle === undefined) {
      this.#set({ ...item, phase: "cancelled" });
      this.#queue = leave(this.#queue, key);
      return;
    }
    const cancelled = handle.cancel();
    this.#read(key);
    await cancelled;
  }

  /** Takes it off the list; what still sends goes on unseen, so cancel first. */
  drop(key: string): void {
    this.#queue = leave(this.#queue, key);
    this.#handles.delete(key);
    const items = new Map(this.#items.value);
    if (items.delete(key)) this.#items.value = items;
    this.#admit();
  }

  #admit(): void {
    if (this.#held) return;
    const { queue, started } = admit(this.#queue);
    this.#queue = queue;
    for (const key of started) this.#start(key);
  }

  #start(key: string): void {
    const item = this.#items.value.get(key);
    if (item === undefined) return;
    const known = this.#handles.get(key);
    if (known !== undefined) {
      known.resume();
      this.#read(key);
      return;
    }
    const handle = this.#options.startUpload(key, item.file);
    this.#handles.set(key, handle);
    this.#set({ ...item, begun: true, phase: "starting" });
    handle.subscribe(() => this.#hear(key, handle));
    this.#read(key);
  }

  #hear(key: string, handle: UploadHandle): void {
    const item = this.#items.value.get(key);
    if (item === undefined || this.#nudging === key || this.#handles.get(key) !== handle) return;
    if (toPhase(handle, item) !== item.phase) this.#read(key);
    else if (!this.#publishing) {
      this.#publishing = true;
      this.#options.setTimer(() => {
        this.#publishing = false;
        for (const moved of this.#queue.running) this.#read(moved);
      }, PUBLISH_MS);
    }
  }

  #read(key: string): void {
    const item = this.#items.value.get(key);
    const handle = this.#handles.get(key);
    if (item === undefined || handle === undefined) return;
    const phase = toPhase(handle, item);
    const sentBytes = handle.sent;
    const retryAtMs = handle.retry?.nextAttemptAt ?? null;
    if (phase === item.phase && sentBytes === item.sentBytes && retryAtMs === item.retryAtMs) return;
    const failure = phase === "failed" && handle.error !== null ? fromClientError(handle.error) : null;
    this.#set({ ...item, phase, sentBytes, retryAtMs, failure });
    if (phase !== "starting" && phase !== "sending" && phase !== "retrying" && phase !== "queued") {
      this.#queue = leave(this.#queue, key);
      this.#admit();
    }
  }

  #set(item: Transfer): void {
    this.#items.value = new Map(this.#items.value).set(item.key, item);
  }
}

function toPhase(handle: UploadHandle, { phase }: Transfer): TransferPhase {
  // Resumed by hand, but without a place yet: the handle still says paused.
  if (handle.state === "paused") return phase === "queued" ? "queued" : "paused";
  const moving = handle.state === "starting" || handle.state === "sending";
  return moving && handle.retry !== null ? "retrying" : handle.state;
}
