/**
 * What every stream has, whatever it carries: its first frames, its heartbeat, its gate, its expiry, its release.
 */
import {
  parseTaskId,
  type ConnectedData,
  type ConnectedManyData,
  type HeartbeatData,
  type TaskId,
} from "@holdfast/protocol";
import {
  CorkedSink,
  encodeComment,
  encodeFrame,
  Gate,
  PollGate,
  toFrameBytes,
  type GateOptions,
  type HistoryPage,
  type Session,
  type SessionReport,
  type Sink,
  type StreamEngine,
} from "@holdfast/stream";
import type { MilestoneQuery, Store } from "../stores/store.js";
import type { Batches } from "./batches.js";
import type { ConnectionName, Deliveries } from "./deliveries.js";
import { toMilestone } from "./milestone-frame.js";
import type { Revisions } from "./revisions.js";
import { toSeconds } from "./task-wire.js";
import type { Tasks } from "./tasks.js";

export interface StreamsOptions {
  readonly engine: StreamEngine;
  readonly store: Store;
  readonly tasks: Tasks;
  readonly batches: Batches;
  readonly deliveries: Deliveries;
  readonly revisions: Revisions;
  readonly heartbeatMs: number;
  readonly progressIntervalMs: number;
  /** `retry:` of every stream. */
  readonly reconnectMs: number;
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly onError: (error: unknown, doing: string) => void;
}

/** The stream ends as soon as it has something to say. [wire: poll] */
export interface PollRequest {
  readonly waitMs: number;
  /** What the last answer gave as `rev`; undefined when the client has none. */
  readonly rev: string | undefined;
}

export interface StreamRequest {
  readonly connection: ConnectionName;
  readonly lastEventId: string | undefined;
  /** Undefined: a stream that stays. */
  readonly poll: PollRequest | undefined;
  /** Called only when a stream really starts. */
  readonly sink: () => Sink;
  /** When the client's token expires; the stream ends then. */
  readonly expiresAtMs: number | null;
  readonly onClose: (report: SessionReport) => void;
}

/** `no-content`: the client has seen the ending; the answer is 204, which stops an EventSource. */
export type StreamOutcome = "stream" | "no-content";

export interface StreamPlan {
  readonly request: StreamRequest;
  readonly connected: ConnectedData | ConnectedManyData;
  /** Frames that follow `connected` in the same write; may be empty. */
  readonly gap: string;
  /** The last id in `connected` and `gap`. */
  readonly start: string;
  readonly channels: readonly string[];
  /** Tasks whose producers the heartbeat speaks of. */
  readonly taskIds: Iterable<TaskId>;
  /** Called once, before the subscription. */
  readonly gate: (session: Session) => Omit<GateOptions, "session">;
  /** Used when the request is a poll. */
  readonly poll: PollPlan;
  readonly onClose?: () => void;
}

export interface PollPlan {
  /** The client knows nothing yet, or has to be told of a gap. */
  readonly atOnce: boolean;
  /** What the client's `rev` says differs from how things stand. */
  readonly changed: boolean;
  /** What the client hands back as `rev` when it has seen all that was published. */
  readonly revision: () => string;
}

// What a page of a poll may bring in milestones: a minute of a busy task, and half a second on a bad mobile link.
const MAX_PAGE_BYTES = 262_144;

export function openStream(options: StreamsOptions, plan: StreamPlan): void {
  const { engine, deliveries, reconnectMs, now, onError } = options;
  const { request, connected } = plan;
  const first = encodeFrame({
    retry: reconnectMs,
    id: connected.cursor,
    event: "connected",
    data: JSON.stringify(connected),
  });
  // oxlint-disable-next-line unicorn/consistent-function-scoping -- replaced as soon as there is a subscription
  let unsubscribe = (): void => undefined;
  const followed = deliveries.follow(request.connection);
  const heartbeat = (cursor: string): HeartbeatData => {
    const timestampMs = now();
    return {
      timestamp: toSeconds(timestampMs),
      timestampMs,
      cursor: cursor as HeartbeatData["cursor"],
      producerSeenMs: producerSeenMs(options, plan.taskIds),
    };
  };
  let poll: PollGate | undefined;
  // Head, greeting and what history has at hand leave in one write: a write is what a stream that begins costs most.
  const sink = new CorkedSink(request.sink());
  sink.cork();
  // Behind the promises of a store that answers at once, and before anything that would wait.
  process.nextTick(() => sink.uncork());
  const session = engine.open({
    sink,
    first: toFrameBytes(first + plan.gap),
    cursor: plan.start,
    heartbeat: ({ cursor }) => encodeJsonFrame("heartbeat", heartbeat(cursor)),
    ...(request.poll !== undefined && {
      latestAfterMs: options.progressIntervalMs,
      onFull: () => poll?.full(),
    }),
    onClose: (report) => {
      unsubscribe();
      followed.closed(report);
      plan.onClose?.();
      request.onClose(report);
    },
  });
  if (!session.open) return; // the server goes away: there is nothing to subscribe for
  if (request.expiresAtMs !== null) {
    session.after(Math.max(0, request.expiresAtMs - now()), () => {
      session.write(toFrameBytes(encodeComment("closed: token-expired")));
      session.end("token-expired");
    });
  }
  const { onSent, ...planned } = plan.gate(session);
  const gateOptions: GateOptions = {
    session,
    ...planned,
    onSent: (event) => {
      // A session that had no room for it has closed, and stands where it stood.
      const ended = event.ending && session.cursor === event.cursor ? parseTaskId(event.topic) : undefined;
      if (ended !== undefined) followed.sent(ended, session);
      onSent?.(event);
    },
  };
  if (request.poll !== undefined) {
    poll = new PollGate({
      ...gateOptions,
      ...plan.poll,
      waitMs: request.poll.waitMs,
      progressIntervalMs: options.progressIntervalMs,
      maxPageBytes: MAX_PAGE_BYTES,
      last: (rev) =>
        encodeJsonFrame("heartbeat", { ...heartbeat(session.cursor), ...(rev !== undefined && { rev }) }),
      onError: (error) => onError(error, "ending a poll"),
    });
  }
  const gate = poll ?? new Gate(gateOptions);
  unsubscribe = engine.hub.subscribe(plan.channels, gate);
  gate.open().catch((error: unknown) => {
    onError(error, "reading history for a stream");
    session.close("error");
  });
}

export async function readHistory(store: Store, query: MilestoneQuery): Promise<HistoryPage> {
  const page = await store.readMilestones(query);
  return { ...page, milestones: page.milestones.map(toMilestone) };
}

export function encodeJsonFrame(event: string, data: object): Uint8Array {
  return toFrameBytes(encodeFrame({ event, data: JSON.stringify(data) }));
}

/** Milliseconds since any of the producers was heard; null when none was. */
function producerSeenMs({ tasks }: StreamsOptions, ids: Iterable<TaskId>): number | null {
  let newestMs: number | null = null;
  for (const id of ids) {
    const seenMs = tasks.producerSeenMs(id);
    if (seenMs !== null) newestMs = Math.min(newestMs ?? seenMs, seenMs);
  }
  return newestMs;
}
