/**
 * Keeps what a stream went through, and says it as figures and as the text that one pastes into a bug report. An entry of its own, fed by
 * what every stream tells anyway, so that a page that needs none of it does not load it.
 *
 * It promises a bounded memory: counts, and the newest transitions and drops. It sends nothing anywhere, and the text holds no headers, no
 * query and no data of events. It does not judge; that is for the doctor and for people.
 */
import { StableEventSource } from "./stable-event-source.js";
import type { StreamMessageEvent, StreamStateInfo } from "./stream-event.js";
import type { StateReason } from "./stream-state.js";
import type { BatchWatch } from "./watch-batch.js";
import type { TaskWatch } from "./watch-task.js";

export interface Drop {
  /** Unix milliseconds. */
  readonly at: number;
  readonly reason: StateReason;
  readonly transport: StreamStateInfo["transport"];
  /** Milliseconds for which it had been open; null for an attempt that never was. */
  readonly openMs: number | null;
  readonly lastByteAgeMs: number | null;
}

export interface Diagnosis {
  /** What is watched: the URL without its query, or the task or batch. */
  readonly of: string;
  /** Milliseconds since the recording began. */
  readonly recordedMs: number;
  /** As of now. */
  readonly connection: StreamStateInfo;
  /** `h2`, `http/1.1`, …, where the platform tells; a browser does after the first answer has ended. */
  readonly protocol: string | null;
  readonly opens: number;
  /** The newest twenty; `dropCounts` counts all. */
  readonly drops: readonly Drop[];
  readonly dropCounts: { readonly [reason: string]: number };
  readonly heartbeats: {
    readonly count: number;
    /** Milliseconds; null on a stream that announces none. */
    readonly announcedMs: number | null;
    /** How much later than announced they came after the one before, in milliseconds: the latest, and the worst so far. */
    readonly lateMs: number | null;
    readonly worstLateMs: number | null;
  };
  /** How often the server said that history was no longer held. */
  readonly gaps: number;
  /** The newest transitions in words, oldest first. */
  readonly transitions: readonly string[];
  /** All of it, to paste. */
  readonly text: string;
}

const KEPT_DROPS = 20;
const KEPT_TRANSITIONS = 40;

/** Starts recording and returns what tells the diagnosis; recording ends with the stream. `now` is Unix milliseconds, for tests. */
export function recordStream(
  watched: StableEventSource | TaskWatch | BatchWatch,
  now: () => number = Date.now,
): () => Diagnosis {
  const recorder = new Recorder(now);
  if (watched instanceof StableEventSource) {
    recorder.move(watched.state);
    watched.addEventListener("state", (event) => {
      // A server's event of that name is not ours.
      if ("transport" in event) recorder.move(event);
    });
    for (const type of ["connected", "heartbeat", "gap"]) {
      watched.addEventListener(type, (event: StreamMessageEvent) => recorder.hear(type, readJson(event)));
    }
    const { origin, pathname } = new URL(watched.url);
    return () => recorder.diagnose(origin + pathname, watched.state, readProtocol(watched.url));
  }
  recorder.move(watched.connection);
  watched.subscribe(() => recorder.move(watched.connection));
  void (async () => {
    for await (const { type, data } of watched) recorder.hear(type, data);
  })().catch(() => {
    // The watch has failed: whoever awaits it hears why, and the transitions say it here.
  });
  const of = "taskId" in watched ? `task ${watched.taskId}` : `batch ${watched.batchId ?? "of tasks"}`;
  return () => recorder.diagnose(of, watched.connection, null);
}

class Recorder {
  readonly #now: () => number;
  readonly #startedMs: number;
  readonly #drops: Drop[] = [];
  readonly #dropCounts = new Map<string, number>();
  readonly #transitions: string[] = [];
  #last: StreamStateInfo | undefined;
  #opens = 0;
  #openedMs: number | null = null;
  #gaps = 0;
  #heartbeats = 0;
  #announcedMs: number | null = null;
  #beatMs: number | null = null;
  #lateMs: number | null = null;
  #worstLateMs: number | null = null;

  constructor(now: () => number) {
    this.#now = now;
    this.#startedMs = now();
  }

  move(info: StreamStateInfo): void {
    const { state, reason, transport, attempt, nextAttemptAt, lastByteAgeMs } = info;
    const last = this.#last;
    const same = last?.state === state && last.reason === reason && last.nextAttemptAt === nextAttemptAt;
    this.#last = info;
    if (same) return;
    const at = this.#now();
    const next = nextAttemptAt === null ? "" : `, next in ${nextAttemptAt - at} ms`;
    const line = `+${at - this.#startedMs} ms ${state} (${reason}) by ${transport}, ${attempt} failed${next}`;
    keep(this.#transitions, line, KEPT_TRANSITIONS);
    if (state === last?.state) return;
    if (state === "open") {
      this.#opens += 1;
      this.#openedMs = at;
      this.#beatMs = null;
    } else if (state === "waiting" || state === "closed") {
      const openMs = this.#openedMs === null ? null : at - this.#openedMs;
      keep(this.#drops, { at, reason, transport, openMs, lastByteAgeMs }, KEPT_DROPS);
      this.#dropCounts.set(reason, (this.#dropCounts.get(reason) ?? 0) + 1);
      this.#openedMs = null;
    }
  }

  hear(type: string, data: unknown): void {
    if (type === "gap") this.#gaps += 1;
    if (type === "connected" && typeof data === "object" && data !== null && "heartbeatMs" in data) {
      this.#announcedMs = typeof data.heartbeatMs === "number" ? data.heartbeatMs : null;
    }
    if (type !== "heartbeat") return;
    const at = this.#now();
    if (this.#beatMs !== null && this.#announcedMs !== null) {
      this.#lateMs = Math.max(0, at - this.#beatMs - this.#announcedMs);
      this.#worstLateMs = Math.max(this.#worstLateMs ?? 0, this.#lateMs);
    }
    this.#heartbeats += 1;
    this.#beatMs = at;
  }

  diagnose(of: string, connection: StreamStateInfo, protocol: string | null): Diagnosis {
    const diagnosis = {
      of,
      recordedMs: this.#now() - this.#startedMs,
      connection,
      protocol,
      opens: this.#opens,
      drops: [...this.#drops],
      dropCounts: Object.fromEntries(this.#dropCounts),
      heartbeats: {
        count: this.#heartbeats,
        announcedMs: this.#announcedMs,
        lateMs: this.#lateMs,
        worstLateMs: this.#worstLateMs,
      },
      gaps: this.#gaps,
      transitions: [...this.#transitions],
    };
    return { ...diagnosis, text: toText(diagnosis) };
  }
}

function toText(diagnosis: Omit<Diagnosis, "text">): string {
  const { of, recordedMs, connection, protocol, opens, drops, dropCounts, heartbeats, gaps, transitions } =
    diagnosis;
  const { state, reason, transport, attempt, lastByteAgeMs } = connection;
  const counts = Object.entries(dropCounts).map(([why, count]) => `${count} × ${why}`);
  return [
    `Stream of ${of}, recorded for ${recordedMs} ms`,
    `now: ${state} (${reason}) by ${transport}, ${attempt} failed, last byte ${ms(lastByteAgeMs)} ago`,
    `protocol: ${protocol ?? "not told"}`,
    `opened: ${opens}, ended: ${counts.join(", ") || "never"}`,
    `heartbeats: ${heartbeats.count}, announced every ${ms(heartbeats.announcedMs)}, last ${ms(heartbeats.lateMs)} late, worst ${ms(heartbeats.worstLateMs)}`,
    `gaps: ${gaps}`,
    ...drops.map(
      (drop) =>
        `ended: ${drop.reason} by ${drop.transport}, after ${ms(drop.openMs)} open, last byte ${ms(drop.lastByteAgeMs)} old`,
    ),
    ...transitions,
    `on: ${typeof navigator === "object" ? navigator.userAgent : "unknown"}`,
  ].join("\n");
}

function ms(value: number | null): string {
  return value === null ? "–" : `${value} ms`;
}

function keep<T>(list: T[], item: T, most: number): void {
  list.push(item);
  if (list.length > most) list.shift();
}

function readJson(event: StreamMessageEvent): unknown {
  try {
    return event.json;
  } catch {
    // A foreign stream may use these names for anything.
    return null;
  }
}

function readProtocol(url: string): string | null {
  const entry: unknown = globalThis.performance?.getEntriesByName(url, "resource").at(-1);
  const told =
    typeof entry === "object" && entry !== null && "nextHopProtocol" in entry ? entry.nextHopProtocol : "";
  return typeof told === "string" && told !== "" ? told : null;
}
