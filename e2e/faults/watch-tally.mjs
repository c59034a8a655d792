/**
 * What one watcher heard, written down as it came: nothing is judged here but the direction of progress, which needs every event.
 *
 * Called by: watcher-process.mjs for each watch; oracle.ts compares the record with the store.
 */
import { parseCursor } from "@holdfast/protocol";

/** @typedef {import("@holdfast/client").WatchEvent} WatchEvent */
/** @typedef {import("@holdfast/protocol").Task} Task */

/**
 * A milestone as it reached the application. `atMs` is of the machine's monotonic clock, which all its processes share.
 * @typedef {{ readonly sequence: number, readonly taskId: string, readonly event: string, readonly step: number | null, readonly atMs: number }} HeardMilestone
 */

/**
 * @typedef {object} WatchRecord
 * @property {string} name
 * @property {number | null} startedAt sequence of the first `connected`; what the store holds after it is owed
 * @property {number} connections
 * @property {number} losses how often a connection, or an attempt at one, came to nothing
 * @property {number} gaps
 * @property {number} progressEvents
 * @property {number} progressBackward events, or views of the task, that stood behind an earlier one of the same attempt
 * @property {readonly HeardMilestone[]} milestones
 * @property {readonly number[]} aliveAtMs when anything was heard, to a tenth of a second
 * @property {string | null} outcome `ended`, why the watch failed, or null while it goes on
 */

const ALIVE_STEP_MS = 100;
/** Beside the producers' own: what carries a cursor of its own. @type {ReadonlySet<string>} */
const MILESTONES = new Set(["status", "stage", "attempt", "complete", "failed", "cancelled"]);

export class WatchTally {
  /** @type {string | null} */
  outcome = null;
  connections = 0;
  #losses = 0;
  /** @type {number | null} */
  #nextAttemptAt = null;
  #gaps = 0;
  #progressEvents = 0;
  #progressBackward = 0;
  /** @type {number | null} */
  #startedAt = null;
  #newest = 0;
  /** @type {HeardMilestone[]} */
  #milestones = [];
  /** @type {number[]} */
  #aliveAtMs = [];
  /** Newest `[attempt, done]` by task: of progress events, and of what a page would show. @type {Map<string, readonly [number, number]>} */
  #told = new Map();
  /** @type {Map<string, readonly [number, number]>} */
  #shown = new Map();

  /** Sequence of the newest milestone heard; 0 before the first. */
  get newest() {
    return this.#newest;
  }

  /** `view`: the client's own task after the event. @param {WatchEvent} event @param {Task | null} view @param {number} atMs */
  hear(event, view, atMs) {
    if (atMs - (this.#aliveAtMs.at(-1) ?? 0) > ALIVE_STEP_MS) this.#aliveAtMs.push(atMs);
    if (view !== null) this.#look(this.#shown, view.id, view.attempt, view.done);
    const { type, data, lastEventId } = event;
    if (type === "connected") {
      this.connections += 1;
      this.#startedAt ??= parseCursor(lastEventId)?.sequence ?? null;
    } else if (type === "gap") this.#gaps += 1;
    else if (type === "progress") {
      this.#progressEvents += 1;
      this.#look(this.#told, data.taskId, data.attempt, data.done);
    } else if (type === "custom") this.#keep(event.name, data.taskId, readStep(data.data), lastEventId, atMs);
    else if (MILESTONES.has(type) && "taskId" in data)
      this.#keep(type, String(data.taskId), null, lastEventId, atMs);
  }

  /** A state is told again when something else about the connection changed. @param {string} state @param {number | null} nextAttemptAt */
  connectionIs(state, nextAttemptAt) {
    if (state === "waiting" && nextAttemptAt !== this.#nextAttemptAt) this.lose();
    this.#nextAttemptAt = nextAttemptAt;
  }

  lose() {
    this.#losses += 1;
  }

  /** @param {string} name @returns {WatchRecord} */
  toRecord(name) {
    return {
      name,
      startedAt: this.#startedAt,
      connections: this.connections,
      losses: this.#losses,
      gaps: this.#gaps,
      progressEvents: this.#progressEvents,
      progressBackward: this.#progressBackward,
      milestones: this.#milestones,
      aliveAtMs: this.#aliveAtMs,
      outcome: this.outcome,
    };
  }

  /** @param {string} event @param {string} taskId @param {number | null} step @param {string} id @param {number} atMs */
  #keep(event, taskId, step, id, atMs) {
    const sequence = parseCursor(id)?.sequence ?? 0;
    this.#newest = Math.max(this.#newest, sequence);
    this.#milestones.push({ sequence, taskId, event, step, atMs });
  }

  /** @param {Map<string, readonly [number, number]>} seen @param {string} taskId @param {number} attempt @param {number} done */
  #look(seen, taskId, attempt, done) {
    const [lastAttempt, lastDone] = seen.get(taskId) ?? [0, 0];
    if (attempt < lastAttempt || (attempt === lastAttempt && done < lastDone)) this.#progressBackward += 1;
    seen.set(taskId, [attempt, done]);
  }
}

/** @param {unknown} data */
function readStep(data) {
  const step = typeof data === "object" && data !== null && "step" in data ? data.step : null;
  return typeof step === "number" ? step : null;
}
