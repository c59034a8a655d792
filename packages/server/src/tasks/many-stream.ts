/**
 * A stream of many tasks: those of a batch, also when they are added later, or those named.
 *
 * Order on the wire: `connected`, `gap` if any, `unavailable` and `snapshot` for each, pulled as the reader reads, then
 * milestones from the store in the one order of its positions, then live. A single cursor resumes all of them, because
 * positions are total across tasks. [wire: many-order]
 *
 * A batch says of itself when it has ended: its `batchComplete` is a milestone of the store. Of tasks that were named one by one nobody
 * but this stream knows; it counts their endings. [wire: batch-complete]
 */
import {
  isTerminal,
  parseTaskId,
  type BatchCompleteData,
  type ConnectedManyData,
  type SnapshotData,
  type TaskId,
  type UnavailableData,
} from "@holdfast/protocol";
import {
  toFrameBytes,
  type GateOptions,
  type HistoryPage,
  type Lost,
  type LostTold,
  type Milestone,
  type Session,
} from "@holdfast/stream";
import type { Mark } from "../stores/store.js";
import { BATCH_TOPIC } from "./milestone-frame.js";
import { accountedFor, encodeFirstGap, encodeGap, toStart, type ResumePoint } from "./resume-point.js";
import type { ChangedSince } from "./revisions.js";
import {
  encodeJsonFrame,
  openStream,
  readHistory,
  type StreamOutcome,
  type StreamRequest,
  type StreamsOptions,
} from "./stream-opener.js";
import type { BatchRow, TaskRow } from "./task-row.js";
import { toSeconds } from "./task-wire.js";
import { batchChannel, taskChannel } from "./task-channels.js";

/** What the stream is of. */
export interface ManySources {
  readonly batch: BatchRow | null;
  readonly rows: readonly TaskRow[];
  readonly unavailable: readonly UnavailableData[];
  /** The store's newest milestone before the rows were read. */
  readonly newest: Mark;
  /** The rows as they are now, those of tasks added since among them. */
  readonly reread: () => Promise<readonly TaskRow[]>;
}

// Milestones read at a time: about 32 KiB, half of what a connection may hold.
const PAGE = 100;

/** Answers `no-content` when the client's cursor is at or past the end of the batch, or past the last ending of the tasks named. */
export function openManyStream(
  options: StreamsOptions,
  point: ResumePoint,
  sources: ManySources,
  request: StreamRequest,
): StreamOutcome {
  const { batch } = sources;
  const rows = sources.rows.map((row) => options.tasks.peek(row.id) ?? row);
  const ended = rows.filter((row) => isTerminal(row.status));
  const over = batch === null ? endOfNamed(rows) : batch.end?.mark.position;
  if (point.kind === "resumed" && over !== undefined && over <= point.mark.position) {
    for (const { id } of ended) options.deliveries.acknowledged(id, request.connection);
    return "no-content";
  }
  const from =
    point.kind === "resumed" ? point.mark : beforeFirstEnding(ended, batch?.end?.before ?? sources.newest);
  const rev = request.poll?.rev;
  const unseen = rev === undefined || point.kind !== "resumed" ? undefined : toUnseen(options, rev);
  const stream = new ManyStream(options, { ...sources, rows, unseen }, point, from);
  const connected: ConnectedManyData = {
    batchId: batch?.id ?? null,
    taskIds: rows.map((row) => row.id),
    timestamp: toSeconds(options.now()),
    cursor: from.cursor,
    resumed: point.kind === "resumed",
    heartbeatMs: options.heartbeatMs,
  };
  openStream(options, {
    request,
    connected,
    gap: encodeFirstGap(point, null, from.cursor),
    start: toStart(point, from.cursor),
    poll: {
      atOnce: point.kind !== "resumed",
      changed: unseen !== undefined && rows.some(({ id }) => unseen(id)),
      revision: () => options.revisions.token,
    },
    channels: batch === null ? connected.taskIds.map(taskChannel) : [batchChannel(batch.id)],
    taskIds: stream.taskIds,
    gate: (session) => stream.start(session),
    onClose: () => stream.release(),
  });
  return "stream";
}

/** Position of the last ending; undefined while a task has not ended. */
function endOfNamed(rows: readonly TaskRow[]): number | undefined {
  return rows.every(({ status }) => isTerminal(status))
    ? Math.max(0, ...rows.map(({ position }) => position))
    : undefined;
}

/** A late joiner starts before the first ending, and gets of what is old the endings alone. */
function beforeFirstEnding(ended: readonly TaskRow[], last: Mark): Mark {
  let first = last;
  for (const { openCursor: cursor, openPosition: position } of ended) {
    if (position < first.position) first = { cursor, position };
  }
  return first;
}

/** [wire: poll-rev] What a client that polls has not been told yet; a `rev` that says nothing has seen nothing. */
function toUnseen({ revisions }: StreamsOptions, rev: string): ChangedSince {
  return revisions.since(rev) ?? ((): boolean => true);
}

/** `unseen` undefined: snapshots of all tasks, and they stand for their progress. */
type ShownSources = ManySources & { readonly unseen: ChangedSince | undefined };

class ManyStream {
  readonly #options: StreamsOptions;
  readonly #sources: ShownSources;
  readonly #point: ResumePoint;
  readonly #from: Mark;
  readonly #known: Set<TaskId>;
  /** Tasks named whose ending has not been sent. */
  readonly #open = new Set<TaskId>();
  readonly #endings = { completed: 0, failed: 0, cancelled: 0 };
  /** The newest rows read, and what they stand for. */
  #rows: readonly TaskRow[];
  #standsFor: Mark;
  #release: (() => void) | undefined;
  #live = false;

  constructor(options: StreamsOptions, sources: ShownSources, point: ResumePoint, from: Mark) {
    this.#options = options;
    this.#sources = sources;
    this.#point = point;
    this.#from = from;
    this.#rows = sources.rows;
    this.#standsFor = sources.newest;
    this.#known = new Set(sources.rows.map((row) => row.id));
    for (const row of sources.rows) {
      // An ending at or below the client's cursor was seen; one above it will be replayed.
      if (isTerminal(row.status) && row.position <= from.position) this.#endings[row.status] += 1;
      else this.#open.add(row.id);
    }
  }

  get taskIds(): Iterable<TaskId> {
    return this.#known;
  }

  start(session: Session): Omit<GateOptions, "session"> {
    const { batch, rows, newest } = this.#sources;
    const { batches } = this.#options;
    if (batch !== null) this.#release = batches.watch(batch.id, rows);
    return {
      after: this.#from.position,
      // To a late joiner the snapshots stand for all that is old; its endings are held.
      accountedFor: this.#point.kind === "resumed" ? accountedFor(this.#point) : newest.position,
      tellLost: async (lost) => await this.#tellLost(session, lost),
      preamble: this.#preamble(session),
      readHistory: async (after) => await this.#read(after),
      onSend: ({ topic }) => this.#introduce(session, topic),
      onSent: (event) => this.#sent(session, event),
      onLive: () => {
        this.#live = true;
        this.#countLostEndings();
        this.#tellUnseen(session);
        this.#tellSums(session);
        this.#endIfDone(session);
      },
    };
  }

  release(): void {
    this.#release?.();
    this.#release = undefined;
  }

  /** Where there is a gap the snapshots of all tasks stand for it, whatever the client has seen. */
  get #showsAll(): boolean {
    return this.#sources.unseen === undefined || accountedFor(this.#point) > 0;
  }

  /**
   * Snapshots of all tasks stand for whatever was committed before their rows were read. What came later, and has gone while they were
   * being sent, is told by fresh ones of the tasks that have changed since. The gap before them may carry an id: who is cut behind
   * it begins with snapshots of all tasks.
   */
  async #tellLost(session: Session, lost: Lost): Promise<LostTold | undefined> {
    if (!this.#showsAll) return undefined;
    const { position } = this.#standsFor;
    const fresh = lost.mark.position > position;
    if (fresh) {
      this.#standsFor = await this.#options.store.newest();
      this.#rows = await this.#sources.reread();
    }
    return {
      gap: toFrameBytes(encodeGap(null, session.cursor, lost)),
      snapshots: fresh ? this.#changedSince(session, position) : [],
    };
  }

  *#changedSince(session: Session, position: number): Generator<Uint8Array> {
    const held = new Set(this.#rows.map(({ id }) => id));
    for (const taskId of this.#open) {
      if (held.has(taskId)) continue;
      // It has ended and gone, and its ending with it.
      this.#open.delete(taskId);
      yield encodeJsonFrame("unavailable", { taskId, code: "TASK_EXPIRED" } satisfies UnavailableData);
    }
    for (const row of this.#rows) {
      if (row.position <= position) continue;
      if (!this.#known.has(row.id)) this.#open.add(row.id);
      this.#known.add(row.id);
      yield this.#snapshot(session, row);
    }
  }

  /** Once history is sent, an old ending that did not come has gone with its task; its snapshot has told it. */
  #countLostEndings(): void {
    for (const { id, status, position } of this.#rows) {
      if (isTerminal(status) && position <= this.#standsFor.position && this.#open.delete(id))
        this.#endings[status] += 1;
    }
  }

  *#preamble(session: Session): Generator<Uint8Array> {
    for (const one of this.#sources.unavailable) yield encodeJsonFrame("unavailable", one);
    for (const row of this.#sources.rows) {
      if (this.#showsAll || this.#sources.unseen?.(row.id) === true) yield this.#snapshot(session, row);
    }
  }

  /** To whoever polls, a change is a `progress`, as on a stream that stays; a snapshot does not stand for it. */
  #tellUnseen(session: Session): void {
    const { unseen, rows } = this.#sources;
    const { tasks } = this.#options;
    if (unseen === undefined) return;
    for (const row of rows) {
      const latest = unseen(row.id) ? tasks.latest(tasks.peek(row.id) ?? row) : undefined;
      if (latest !== undefined) session.latest(latest);
    }
  }

  #snapshot(session: Session, row: TaskRow): Uint8Array {
    const { tasks } = this.#options;
    const newest = tasks.peek(row.id) ?? row;
    if (this.#sources.unseen?.(row.id) !== true) session.shown(row.id, newest.rev);
    return encodeJsonFrame("snapshot", { task: tasks.toWire(newest) } satisfies SnapshotData);
  }

  async #read(after: number): Promise<HistoryPage> {
    const { store, tasks } = this.#options;
    const { batch, rows, newest } = this.#sources;
    const page = await readHistory(store, {
      of: batch === null ? { taskIds: rows.map((row) => row.id) } : { batchId: batch.id },
      after,
      limit: PAGE,
      endingsOnlyUpTo: this.#point.kind === "resumed" ? 0 : newest.position,
    });
    // A task made since the rows were read has to be in memory when its first milestone introduces it.
    const added = page.milestones
      .flatMap(({ topic }) => parseTaskId(topic) ?? [])
      .filter((id) => !this.#known.has(id));
    await Promise.all(added.map(async (id) => await tasks.read(id)));
    return page;
  }

  #introduce(session: Session, topic: string): void {
    const id = parseTaskId(topic);
    // Before its end the sums of a batch go out, those held back among them.
    if (id === undefined) this.#tellSums(session);
    if (id === undefined || this.#known.has(id)) return;
    this.#known.add(id);
    this.#open.add(id);
    const row = this.#options.tasks.peek(id);
    if (row !== undefined) session.write(this.#snapshot(session, row));
  }

  #sent(session: Session, { topic, ending }: Milestone): void {
    if (topic === BATCH_TOPIC) {
      session.end("completed");
      return;
    }
    const id = topic as TaskId;
    if (!ending || !this.#open.delete(id)) return;
    const row = this.#options.tasks.peek(id) ?? this.#rows.find((one) => one.id === id);
    if (row !== undefined && isTerminal(row.status)) this.#endings[row.status] += 1;
    this.#endIfDone(session);
  }

  #tellSums(session: Session): void {
    const { batch } = this.#sources;
    const sums = batch === null ? undefined : this.#options.batches.latest(batch.id);
    if (sums !== undefined) session.latest(sums);
  }

  /** When all tasks named have ended. */
  #endIfDone(session: Session): void {
    if (this.#sources.batch !== null || !this.#live || this.#open.size > 0) return;
    const data: BatchCompleteData = {
      batchId: null,
      tasks: this.#known.size,
      ...this.#endings,
      timestamp: toSeconds(this.#options.now()),
    };
    session.write(encodeJsonFrame("batchComplete", data));
    session.end("completed");
  }
}
