/**
 * A thousand tasks on one connection: a batch, whose milestones interleave at random while its reader is cut off again and again.
 *
 * Every task gets `step 0, 1, …` and an ending, from many producers at once. The reader resumes with its one cursor; each milestone of
 * each task must come once and in order over all its connections, one heartbeat's cursor equal to its own, then `batchComplete`, then 204.
 * A second reader that is never cut off, and a late one that comes when all is over, are compared with it.
 */
import { setTimeout as pause } from "node:timers/promises";
import { comesTrue, post, report } from "./api.mjs";
import { round } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";
import { SseSocket } from "./sse-socket.mjs";

const TASKS = 1_000;

/** @param {import("./scale.mjs").PartInput} input @returns {Promise<import("./scale.mjs").PartResult>} */
export async function runTasks({ dataDir, short }) {
  // In the short form two: each is a commit.
  const steps = short ? 2 : 5;
  const server = await startHoldfast(dataDir, ["--heartbeat=500ms"]);
  try {
    const { url } = server;
    const ids = Array.from({ length: TASKS }, (_, index) => `many-${index}`);
    await post(url, "/batches", { id: "thousand" });
    await inTurns(
      ids,
      16,
      async (id) => void (await post(url, "/tasks", { id, batchId: "thousand", total: steps })),
    );
    await post(url, "/batches/thousand/close", {});
    const cut = new Reader(url);
    const whole = new Reader(url);
    await comesTrue(() => whole.snapshots === TASKS && cut.snapshots === TASKS, 20_000);
    const connectMs = whole.snapshotsMs;
    const cutting = new AbortController();
    const cuts = cutOff(cut, 60, cutting.signal);
    const orders = ids.flatMap((id) => Array.from({ length: steps + 1 }, () => id));
    shuffle(orders);
    /** @type {Map<string, number>} */
    const next = new Map();
    const startMs = performance.now();
    /** @type {Map<string, Promise<unknown>>} */
    const last = new Map();
    await inTurns(orders, 16, async (id) => {
      const step = next.get(id) ?? 0;
      next.set(id, step + 1);
      // A task's own reports are in order; those of others go on meanwhile.
      const mine = (last.get(id) ?? Promise.resolve()).then(
        async () =>
          await report(
            url,
            id,
            step === steps
              ? [{ type: "complete", data: { result: null } }]
              : [
                  { type: "progress", data: { done: step } },
                  { type: "step", data: step },
                ],
          ),
      );
      last.set(id, mine);
      await mine;
    });
    const seconds = (performance.now() - startMs) / 1_000;
    cutting.abort();
    await cuts;
    const done = await comesTrue(() => cut.refused === 204 && whole.refused === 204, 20_000);
    const late = new Reader(url);
    const lateDone = await comesTrue(() => late.refused === 204, 20_000);
    const endingsOfLate = late.seen.filter((one) => one.endsWith(" complete")).length;
    const problems = [cut, whole].map((reader) => compare(reader, ids, steps));
    const figures = {
      tasks: TASKS,
      milestones: TASKS * (steps + 1),
      milestonesPerSecond: Math.round((TASKS * (steps + 1)) / seconds),
      connections: cut.connections,
      snapshotsMs: round(connectMs, 0),
      heartbeatsCompared: cut.beats + whole.beats,
      lost: problems[0]?.lost,
      repeated: problems[0]?.repeated,
      reordered: problems[0]?.reordered,
    };
    const total = (/** @type {"lost" | "repeated" | "reordered"} */ name) =>
      problems.reduce((sum, one) => sum + one[name], 0);
    return {
      figures,
      checks: [
        ["1,000 tasks: snapshots on one connection", whole.snapshots, TASKS, whole.snapshots === TASKS],
        ["… connections of the one cut off", cut.connections, "≥ 10", cut.connections >= 10],
        ["… milestones lost", total("lost"), 0, total("lost") === 0],
        ["… milestones repeated", total("repeated"), 0, total("repeated") === 0],
        ["… milestones reordered", total("reordered"), 0, total("reordered") === 0],
        [
          "… heartbeats whose cursor differs",
          cut.wrongBeats + whole.wrongBeats,
          0,
          cut.wrongBeats + whole.wrongBeats === 0,
        ],
        [
          "… batchComplete, end, 204",
          String(done),
          "true",
          done && cut.batchComplete === 1 && whole.batchComplete === 1,
        ],
        ["… endings heard by who comes late", endingsOfLate, TASKS, lateDone && endingsOfLate === TASKS],
      ],
    };
  } finally {
    await server.stop();
  }
}

class Reader {
  /** @type {string[]} `task event` in order of arrival */
  seen = [];
  snapshots = 0;
  snapshotsMs = 0;
  batchComplete = 0;
  connections = 0;
  beats = 0;
  wrongBeats = 0;
  refused = 0;
  #url;
  #openedMs = performance.now();
  /** @type {string | undefined} */
  #lastEventId;
  #socket;

  /** @param {string} url */
  constructor(url) {
    this.#url = url;
    this.#socket = this.#connect();
  }

  cutOff() {
    if (this.refused !== 0) return;
    this.#socket.reset();
    this.#socket = this.#connect();
  }

  #connect() {
    this.connections += 1;
    return new SseSocket({
      url: this.#url,
      path: "/api/v1/batches/thousand/stream",
      ...(this.#lastEventId !== undefined && { lastEventId: this.#lastEventId }),
      onFrame: (frame) => this.#hear(frame),
      onEnd: (end) => {
        if (end.kind === "refused") this.refused = end.status;
        else this.#socket = this.#connect();
      },
    });
  }

  /** @param {import("./sse-socket.mjs").Frame} frame */
  #hear({ event, id, data }) {
    if (event === "snapshot" && this.connections === 1) {
      this.snapshots += 1;
      this.snapshotsMs = performance.now() - this.#openedMs;
    }
    if (event === "batchComplete") this.batchComplete += 1;
    if (event === "heartbeat") {
      this.beats += 1;
      if (JSON.parse(data).cursor !== this.#lastEventId) this.wrongBeats += 1;
    }
    if (id === undefined) return;
    this.#lastEventId = id;
    if (event === "step") {
      const { taskId, data: step } = JSON.parse(data);
      this.seen.push(`${taskId} ${step}`);
    } else if (event === "complete") this.seen.push(`${JSON.parse(data).taskId} complete`);
  }
}

/** @param {Reader} reader @param {readonly string[]} ids @param {number} steps */
function compare(reader, ids, steps) {
  const unique = new Set(reader.seen);
  let reordered = 0;
  /** @type {Map<string, number>} */
  const last = new Map();
  for (const one of reader.seen) {
    const [id = "", what = ""] = one.split(" ");
    const at = what === "complete" ? steps : Number(what);
    if (at < (last.get(id) ?? -1)) reordered += 1;
    last.set(id, at);
  }
  return {
    lost: ids.length * (steps + 1) - unique.size,
    repeated: reader.seen.length - unique.size,
    reordered,
  };
}

/** @param {Reader} reader @param {number} everyMs @param {AbortSignal} signal */
async function cutOff(reader, everyMs, signal) {
  while (!signal.aborted) {
    await pause(everyMs * (0.5 + Math.random()));
    reader.cutOff();
  }
}

/** @template Item @param {readonly Item[]} items @param {number} lanes @param {(item: Item) => Promise<void>} work */
async function inTurns(items, lanes, work) {
  const waiting = items.values();
  const lane = async () => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** @param {unknown[]} items */
function shuffle(items) {
  for (let index = items.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [items[index], items[other]] = [items[other], items[index]];
  }
}
