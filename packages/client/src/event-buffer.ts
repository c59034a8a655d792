/**
 * What waits between the stream and a `for await` that is slower. Progress collapses to the newest per task, milestones are kept, and
 * the whole is bounded: past the bound everything queued is replaced by a `gap` and snapshots of how things stand, as on the
 * wire. So a reader that sleeps costs a bounded amount, and never misses an ending without being told.
 */
import type { Cursor, Task } from "@holdfast/protocol";
import { readTaskId, type WatchEvent } from "./watch-event.js";

interface Queued {
  readonly event: WatchEvent;
  readonly chars: number;
}

interface Waiter {
  readonly resolve: (result: IteratorResult<WatchEvent, undefined>) => void;
  readonly reject: (error: Error) => void;
}

// Some ten thousand milestones; a reader that far behind wants the present, not the past.
const MAX_QUEUED_CHARS = 4_194_304;

export class EventBuffer implements AsyncIterableIterator<WatchEvent, undefined> {
  readonly #readTasks: () => Iterable<Task>;
  readonly #onReturn: (buffer: EventBuffer) => void;
  readonly #maxChars: number;
  #queue: Queued[] = [];
  #chars = 0;
  #delivered = "";
  #waiters: Waiter[] = [];
  #end: { readonly error: Error | undefined } | undefined;

  /** Begins with a snapshot of each task that is known already. */
  constructor(
    readTasks: () => Iterable<Task>,
    onReturn: (buffer: EventBuffer) => void,
    maxChars: number = MAX_QUEUED_CHARS,
  ) {
    this.#readTasks = readTasks;
    this.#onReturn = onReturn;
    this.#maxChars = maxChars;
    this.#queueSnapshots("");
  }

  /** `chars` is the length of the event's data. */
  push(event: WatchEvent, chars: number): void {
    if (this.#end !== undefined) return;
    const waiter = this.#waiters.shift();
    if (waiter !== undefined) {
      this.#delivered = event.lastEventId;
      waiter.resolve({ done: false, value: event });
      return;
    }
    if (event.type === "progress" || event.type === "heartbeat" || event.type === "batch") this.#drop(event);
    this.#queue.push({ event, chars });
    this.#chars += chars;
    if (this.#chars > this.#maxChars) this.#overflow(event.lastEventId);
  }

  /** What is queued is still delivered; then the iteration ends, or throws. */
  end(error?: Error): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    for (const waiter of this.#waiters.splice(0)) {
      if (error === undefined) waiter.resolve({ done: true, value: undefined });
      else waiter.reject(error);
    }
  }

  next(): Promise<IteratorResult<WatchEvent, undefined>> {
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      this.#chars -= queued.chars;
      this.#delivered = queued.event.lastEventId;
      return Promise.resolve({ done: false, value: queued.event });
    }
    if (this.#end === undefined) {
      return new Promise((resolve, reject) => {
        this.#waiters.push({ resolve, reject });
      });
    }
    const { error } = this.#end;
    // An error is thrown once; who asks again has reached the end.
    this.#end = { error: undefined };
    return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  return(): Promise<IteratorResult<WatchEvent, undefined>> {
    this.#queue = [];
    this.#chars = 0;
    this.end();
    this.#onReturn(this);
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** State of which only the newest matters: an older one of the same kind and task leaves the queue. */
  #drop(event: WatchEvent): void {
    const taskId = readTaskId(event);
    const at = this.#queue.findIndex((q) => q.event.type === event.type && readTaskId(q.event) === taskId);
    if (at === -1) return;
    const [dropped] = this.#queue.splice(at, 1);
    this.#chars -= dropped?.chars ?? 0;
  }

  #overflow(newestId: string): void {
    this.#queue = [];
    this.#chars = 0;
    this.#queue.push({
      event: {
        type: "gap",
        data: { taskId: null, from: this.#delivered, to: newestId as Cursor },
        lastEventId: newestId,
      },
      chars: 0,
    });
    this.#queueSnapshots(newestId);
  }

  #queueSnapshots(lastEventId: string): void {
    // Not counted: they are as many as there are tasks, which the watch holds anyway.
    for (const task of this.#readTasks()) {
      this.#queue.push({ event: { type: "snapshot", data: { task }, lastEventId }, chars: 0 });
    }
  }
}
