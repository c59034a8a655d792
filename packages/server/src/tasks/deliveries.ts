/**
 * Who was sent the ending: what an operator asks when a client says that it never heard.
 *
 * Promises
 * - Never in the way of a stream: what is to be recorded waits in memory for at most a second and is stored in batches.
 * - Recorded when the ending is written, and again when it is known how the connection ended; so after a crash what is missing is only
 *   the last second, and the end of connections that died with the server (`closedAtMs` null).
 * - Bounded: per task by the store, here by `MAX_PENDING`; beyond that what is let go of is counted.
 * Refuses: to know sockets; to call sent what the session did not take. Called by: stream-opener.ts, streams.ts, http/delivery-routes.ts.
 */
import { setImmediate } from "node:timers/promises";
import type { TaskId } from "@holdfast/protocol";
import type { Session, SessionReport } from "@holdfast/stream";
import type { Delivery, DeliveryEntry, DeliveryLog } from "../stores/delivery-log.js";
import type { Store } from "../stores/store.js";

/** The connection as its log lines name it. */
export interface ConnectionName {
  readonly id: string;
  readonly transport: Delivery["transport"];
}

export interface DeliveriesOptions {
  readonly store: Store;
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly onError: (error: unknown, doing: string) => void;
}

const STORE_EVERY_MS = 1_000;
// Tasks in one transaction: a full log takes up to a millisecond to read and write, and between two transactions streams have their turn.
const AT_ONCE = 8;
// About 10 MB. Reached only when thousands of connections that each carry many ended tasks close in one second.
const MAX_PENDING = 50_000;

export class Deliveries {
  readonly #options: DeliveriesOptions;
  #pending = new Map<TaskId, Map<string, DeliveryEntry>>();
  #pendingSize = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #storing: Promise<void> = Promise.resolve();
  readonly #counts = { sent: 0, acknowledged: 0, unrecorded: 0 };

  constructor(options: DeliveriesOptions) {
    this.#options = options;
  }

  /** Since the start; `unrecorded` is what the bound let go of. */
  get counts(): { readonly sent: number; readonly acknowledged: number; readonly unrecorded: number } {
    return this.#counts;
  }

  /** Follows one connection. */
  follow(connection: ConnectionName): Followed {
    return new Followed(connection, this.#options.now, (entry) => this.#record(entry));
  }

  /** The client of this connection has had the task's ending before. */
  acknowledged(taskId: TaskId, { id: connectionId, transport }: ConnectionName): void {
    const nowMs = this.#options.now();
    this.#record({
      taskId,
      isNew: true,
      delivery: {
        connectionId,
        transport,
        outcome: "acknowledged",
        openedAtMs: nowMs,
        sentAtMs: null,
        closedAtMs: nowMs,
        flushed: null,
        reason: null,
      },
    });
  }

  async read(id: TaskId): Promise<DeliveryLog> {
    await this.store();
    return await this.#options.store.readDeliveries(id);
  }

  /** Stores what waits; resolves when it is stored or could not be. */
  async store(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#storing = this.#storing.then(async () => await this.#store());
    await this.#storing;
  }

  async #store(): Promise<void> {
    const entries = [...this.#pending.values()];
    this.#pending = new Map();
    this.#pendingSize = 0;
    for (let from = 0; from < entries.length; from += AT_ONCE) {
      const batch = entries.slice(from, from + AT_ONCE).flatMap((ofTask) => Array.from(ofTask.values()));
      try {
        // oxlint-disable-next-line no-await-in-loop -- one after the other leaves room for streams
        await this.#options.store.recordDeliveries(batch);
      } catch (error) {
        this.#counts.unrecorded += batch.length;
        this.#options.onError(error, "recording who was sent endings");
      }
      // oxlint-disable-next-line no-await-in-loop -- likewise
      if (from + AT_ONCE < entries.length) await setImmediate();
    }
  }

  #record(entry: DeliveryEntry): void {
    const { taskId, delivery, isNew } = entry;
    if (isNew) this.#counts[delivery.outcome] += 1;
    const ofTask = this.#pending.get(taskId) ?? new Map<string, DeliveryEntry>();
    const before = ofTask.get(delivery.connectionId);
    if (before === undefined && this.#pendingSize >= MAX_PENDING) {
      this.#counts.unrecorded += 1;
      return;
    }
    if (before === undefined) this.#pendingSize += 1;
    this.#pending.set(
      taskId,
      ofTask.set(delivery.connectionId, { ...entry, isNew: isNew || before?.isNew === true }),
    );
    this.#timer ??= setTimeout(() => void this.store(), STORE_EVERY_MS).unref();
  }
}

/** One connection and the endings written on it, in order. */
export class Followed {
  readonly #connection: ConnectionName;
  readonly #openedAtMs: number;
  readonly #now: () => number;
  readonly #record: (entry: DeliveryEntry) => void;
  readonly #sent: { readonly taskId: TaskId; readonly sentAtMs: number }[] = [];
  /** So many of them the kernel has taken: bytes leave in order. */
  #flushed = 0;
  #waiting = false;

  constructor(connection: ConnectionName, now: () => number, record: (entry: DeliveryEntry) => void) {
    this.#connection = connection;
    this.#openedAtMs = now();
    this.#now = now;
    this.#record = record;
  }

  /** The session has just taken the task's ending. */
  sent(taskId: TaskId, session: Session): void {
    this.#sent.push({ taskId, sentAtMs: this.#now() });
    if (session.queuedBytes === 0) this.#flushed = this.#sent.length;
    else void this.#awaitFlush(session);
    this.#tell(this.#sent.length - 1, { isNew: true, end: undefined });
  }

  closed(report: SessionReport): void {
    if (report.finished) this.#flushed = this.#sent.length;
    const closedAtMs = this.#now();
    for (const index of this.#sent.keys()) {
      this.#tell(index, { isNew: false, end: { closedAtMs, reason: report.reason } });
    }
    this.#sent.length = 0;
  }

  async #awaitFlush(session: Session): Promise<void> {
    if (this.#waiting) return;
    this.#waiting = true;
    await session.writable();
    this.#waiting = false;
    if (!session.open) return; // how it ends says what was taken
    const from = this.#flushed;
    this.#flushed = this.#sent.length;
    for (let index = from; index < this.#flushed; index += 1)
      this.#tell(index, { isNew: false, end: undefined });
  }

  #tell(
    index: number,
    {
      isNew,
      end,
    }: { isNew: boolean; end: (Pick<SessionReport, "reason"> & { closedAtMs: number }) | undefined },
  ): void {
    const sent = this.#sent[index];
    if (sent === undefined) return;
    const taken = index < this.#flushed;
    this.#record({
      taskId: sent.taskId,
      isNew,
      delivery: {
        connectionId: this.#connection.id,
        transport: this.#connection.transport,
        outcome: "sent",
        openedAtMs: this.#openedAtMs,
        sentAtMs: sent.sentAtMs,
        closedAtMs: end?.closedAtMs ?? null,
        flushed: taken || end !== undefined ? taken : null,
        reason: end?.reason ?? null,
      },
    });
  }
}
