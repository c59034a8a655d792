/**
 * Opens streams: decides what a client gets first, and hands the rest to the gate.
 *
 * Promises: every refusal is thrown before the sink is asked for, so it can be answered as a problem document. A stream of
 * one task ends after its ending; a stream of many after the last ending, when no task can be added.
 * Refuses: to know requests and sockets. Called by: http/stream-routes.ts.
 */
import {
  isTerminal,
  parseTaskId,
  type BatchId,
  type ConnectedData,
  type TaskId,
  type UnavailableData,
} from "@holdfast/protocol";
import { HoldfastError } from "../errors.js";
import { openManyStream } from "./many-stream.js";
import { accountedFor, encodeFirstGap, readResumePoint, toStart } from "./resume-point.js";
import {
  openStream,
  readHistory,
  type StreamOutcome,
  type StreamRequest,
  type StreamsOptions,
} from "./stream-opener.js";
import type { TaskRow } from "./task-row.js";
import { toSeconds } from "./task-wire.js";
import { taskChannel } from "./task-channels.js";

export type { PollRequest, StreamOutcome, StreamRequest, StreamsOptions } from "./stream-opener.js";

// Milestones read at a time: about 32 KiB, half of what a connection may hold.
const PAGE = 100;

export class Streams {
  readonly #options: StreamsOptions;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** Throws TASK_NOT_FOUND, TASK_EXPIRED. */
  async openTask(id: TaskId, request: StreamRequest): Promise<StreamOutcome> {
    const { store, tasks, deliveries, now, heartbeatMs } = this.#options;
    const of = { taskIds: [id] };
    const point = await readResumePoint(store, request.lastEventId, of);
    const read = await tasks.read(id);
    // From here to the subscription nothing is awaited: what is committed later is heard, what was is in the row.
    const row = tasks.peek(id) ?? read;
    if (point.kind === "resumed" && isTerminal(row.status) && point.mark.position >= row.position) {
      deliveries.acknowledged(id, request.connection);
      return "no-content";
    }
    // [wire: late-joiner] Without a cursor a stream starts before the ending, so that a link that drops right after
    // `connected` does not lose it.
    const from =
      point.kind === "resumed" ? point.mark : { cursor: row.openCursor, position: row.openPosition };
    const connected: ConnectedData = {
      taskId: id,
      timestamp: toSeconds(now()),
      cursor: from.cursor,
      resumed: point.kind === "resumed",
      heartbeatMs,
      task: tasks.toWire(row),
    };
    const rev = request.poll?.rev;
    const changed = rev !== undefined && Number(rev) !== row.rev;
    openStream(this.#options, {
      request,
      connected,
      gap: encodeFirstGap(point, id, from.cursor),
      start: toStart(point, from.cursor),
      poll: {
        atOnce: point.kind !== "resumed",
        changed,
        revision: () => String((tasks.peek(id) ?? row).rev),
      },
      channels: [taskChannel(id)],
      taskIds: [id],
      gate: (session) => {
        // To whoever polls, a change is a `progress`, as on a stream that stays; the snapshot of `connected` does not stand for it.
        const unheard = changed ? tasks.latest(row) : undefined;
        if (unheard === undefined) session.shown(id, row.rev);
        return {
          after: from.position,
          accountedFor: accountedFor(point),
          upToDate: row.position <= from.position,
          readHistory: async (after) =>
            await readHistory(store, { of, after, limit: PAGE, endingsOnlyUpTo: 0 }),
          onSent: ({ ending }) => {
            if (ending) session.end("completed");
          },
          onLive: () => {
            if (unheard !== undefined) session.latest(unheard);
          },
        };
      },
    });
    return "stream";
  }

  /** Throws BATCH_NOT_FOUND. */
  async openBatch(id: BatchId, request: StreamRequest): Promise<StreamOutcome> {
    const { store, batches } = this.#options;
    const point = await readResumePoint(store, request.lastEventId, { batchId: id });
    await batches.row(id);
    const newest = await store.newest();
    const reread = async (): Promise<readonly TaskRow[]> => await batches.rows(id);
    const rows = await reread();
    // Read last: a batch that was closed while its rows were read has no other rows than these.
    const batch = await batches.row(id);
    return openManyStream(this.#options, point, { batch, rows, unavailable: [], newest, reread }, request);
  }

  /** Unknown ids are said in the stream as `unavailable`. */
  async openMany(ids: readonly string[], request: StreamRequest): Promise<StreamOutcome> {
    const { store } = this.#options;
    const taskIds = ids.flatMap((id) => parseTaskId(id) ?? []);
    const point = await readResumePoint(store, request.lastEventId, { taskIds });
    const newest = await store.newest();
    const find = async (): Promise<readonly (TaskRow | UnavailableData)[]> =>
      await Promise.all([...new Set(ids)].map(async (id) => await this.#find(id)));
    const found = await find();
    const sources = {
      batch: null,
      rows: found.filter((one) => "id" in one),
      unavailable: found.filter((one) => "code" in one),
      newest,
      reread: async () => (await find()).filter((one) => "id" in one),
    };
    return openManyStream(this.#options, point, sources, request);
  }

  async #find(text: string): Promise<TaskRow | UnavailableData> {
    const id = parseTaskId(text);
    if (id === undefined) return { taskId: text.slice(0, 64), code: "TASK_NOT_FOUND" };
    try {
      return await this.#options.tasks.read(id);
    } catch (error) {
      if (error instanceof HoldfastError) return { taskId: text, code: error.code };
      throw error;
    }
  }
}
