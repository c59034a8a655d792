/**
 * The life of a busy server, in a process of its own: tasks are made, reported on, watched by all kinds of clients, and end.
 *
 * Each lane runs one task after another. A task is a job with milestones `step 0…n` and an ending, sometimes cancelled or failed, or an upload by tus in
 * two parts. It has five watchers: one that stays, one that is cut off by FIN or RST and resumes by its cursor, one that stops reading
 * for a while, one that polls, and one that leaves without a word and is not missed. The first four must get every milestone once, in
 * order, and the ending; whatever is missing or comes twice is counted. Lanes are paced, so that the load is the same all the time.
 * Beside the lanes: streams that only hear heartbeats and come back whenever the server ends them of age, and some that never read again.
 * Called by: soak.mjs, over IPC.
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { post, report } from "./api.mjs";
import { takeOrders } from "./crew.mjs";
import { SseSocket } from "./sse-socket.mjs";

const STEPS = 6;
const TASK_MS = 1_500;
// A watcher that has not heard the ending so long after it was reported has lost it.
const ENDING_MS = 20_000;
const UPLOAD_BYTES = 300_000;
// Reports begin when all are connected; a watcher that comes later rightly misses the first.
const CONNECT_MS = 60_000;
const IDLE = 40;
const DEAF = 10;
// One by one; each is left for 40 s, so that the server ends it of age first.
const DEAF_RENEWAL_MS = 4_000;
/** @type {readonly ("complete" | "failed" | "cancelled")[]} */
const ENDINGS = ["complete", "complete", "complete", "failed", "cancelled"];

const figures = {
  tasks: 0,
  uploads: 0,
  connections: 0,
  polls: 0,
  resumes: 0,
  resets: 0,
  abandoned: 0,
  milestones: 0,
  endings: 0,
  lost: 0,
  repeated: 0,
  endingsMissing: 0,
  bytesWrong: 0,
};
/** @type {string[]} */
const problems = [];
let stopping = false;
let idleTask = "";
/** @type {Watcher[]} */
let idle = [];
/** Those that never read again after their first frame, as a sleeping phone. @type {SseSocket[]} */
let deaf = [];
/** @type {ReturnType<typeof setInterval> | undefined} */
let renewal;
/** @type {Promise<void>[]} */
let lanes = [];

/** @type {Record<string, (order: any) => unknown>} */
const CHURN = {
  /** @param {{ url: string, lanes: number }} order */
  async start({ url, lanes: count }) {
    idleTask = `idle-${process.pid}`;
    await post(url, "/tasks", { id: idleTask });
    idle = Array.from({ length: IDLE }, () => new Watcher(url, idleTask));
    deaf = Array.from({ length: DEAF }, () => openDeaf(url));
    renewal = setInterval(() => {
      deaf.shift()?.reset();
      deaf.push(openDeaf(url));
    }, DEAF_RENEWAL_MS);
    lanes = Array.from({ length: count }, async (_, lane) => await runLane(url, lane));
    for (const lane of lanes) lane.catch((/** @type {unknown} */ error) => problems.push(String(error)));
  },
  figures: () => ({ ...figures, problems: problems.slice(0, 10), problemCount: problems.length }),
  async stop() {
    stopping = true;
    await Promise.allSettled(lanes);
    clearInterval(renewal);
    for (const one of idle) one.leave();
    for (const one of deaf) one.close();
  },
};

/** @param {string} url @param {number} lane */
async function runLane(url, lane) {
  await pause((lane * TASK_MS) / 10);
  for (let round = 0; !stopping; round += 1) {
    const startedMs = performance.now();
    const id = `churn-${process.pid}-${lane}-${round}`;
    if (round % 4 === 3) await runUpload(url, id);
    else await runJob(url, id, ENDINGS[round % ENDINGS.length] ?? "complete");
    const leftMs = TASK_MS - (performance.now() - startedMs);
    if (leftMs > 0) await pause(leftMs);
  }
}

/** @param {string} url @param {string} id @param {"complete" | "failed" | "cancelled"} ending */
async function runJob(url, id, ending) {
  figures.tasks += 1;
  await post(url, "/tasks", { id, total: STEPS });
  const watchers = await watch(url, id);
  for (let step = 0; step < STEPS; step += 1) {
    await report(url, id, [
      { type: "progress", data: { done: step } },
      { type: "step", data: step },
    ]);
    await pause(TASK_MS / STEPS / 2);
    watchers.disturb(step);
  }
  if (ending === "cancelled") await remove(`${url}/api/v1/tasks/${id}`);
  else
    await report(url, id, [
      ending === "complete"
        ? { type: "complete", data: { result: null } }
        : { type: "fail", data: { code: "CHURN", message: "as asked" } },
    ]);
  await watchers.settle(STEPS, ending);
}

/** @param {string} url @param {string} id */
async function runUpload(url, id) {
  figures.uploads += 1;
  const bytes = randomBytes(UPLOAD_BYTES);
  await post(url, "/uploads", { id, filename: "churn.bin", total: bytes.length });
  const watchers = await watch(url, id);
  const half = UPLOAD_BYTES / 2;
  await patch(`${url}/api/v1/uploads/${id}`, 0, bytes.subarray(0, half));
  watchers.disturb(1);
  await pause(TASK_MS / 4);
  watchers.disturb(3);
  await patch(`${url}/api/v1/uploads/${id}`, half, bytes.subarray(half));
  await watchers.settle(0, "complete");
  const answer = await fetch(`${url}/api/v1/uploads/${id}/content`);
  const got = Buffer.from(await answer.arrayBuffer());
  if (sha256(got) !== sha256(bytes)) figures.bytesWrong += 1;
  await remove(`${url}/api/v1/uploads/${id}`);
}

/** @param {string} url */
function openDeaf(url) {
  figures.connections += 1;
  const socket = new SseSocket({
    url,
    path: `/api/v1/tasks/${idleTask}/stream`,
    onFrame: () => socket.pause(),
    onEnd: () => undefined,
  });
  return socket;
}

/** Resolves when all are connected: what is reported before is in their snapshot. @param {string} url @param {string} id */
async function watch(url, id) {
  const steady = new Watcher(url, id);
  const cut = new Watcher(url, id);
  const slow = new Watcher(url, id);
  const polling = new Watcher(url, id, "poll");
  const leaving = new Watcher(url, id);
  const giveUpMs = performance.now() + CONNECT_MS;
  while ([steady, cut, slow, polling, leaving].some((one) => !one.connected) && performance.now() < giveUpMs)
    await pause(10);
  return {
    /** @param {number} step */
    disturb(step) {
      if (step === 1) slow.pause();
      if (step === 1 || step === 3) cut.cutOff(step === 1);
      if (step === 2) leaving.leave();
      if (step === 4) slow.resume();
    },
    /** @param {number} steps @param {string} ending */
    async settle(steps, ending) {
      slow.resume();
      leaving.leave();
      const untilMs = performance.now() + ENDING_MS;
      const all = [steady, cut, slow, polling];
      while (all.some((one) => one.open) && performance.now() < untilMs) await pause(25);
      for (const one of all) one.judge(steps, ending);
    },
  };
}

class Watcher {
  open = true;
  connected = false;
  /** @type {string[]} */
  #seen = [];
  /** @type {string | undefined} */
  #lastEventId;
  #url;
  #id;
  #transport;
  /** What the poll before gave, to be told of the progress since. */
  #rev = "";
  #socket;

  /** @param {string} url @param {string} id @param {"sse" | "poll"} transport */
  constructor(url, id, transport = "sse") {
    this.#url = url;
    this.#id = id;
    this.#transport = transport;
    this.#socket = this.#connect();
  }

  /** @param {boolean} rudely by RST */
  cutOff(rudely) {
    if (!this.open) return;
    figures.resumes += 1;
    if (rudely) {
      figures.resets += 1;
      this.#socket.reset();
    } else this.#socket.close();
    this.#socket = this.#connect();
  }

  leave() {
    if (this.open) figures.abandoned += 1;
    this.open = false;
    this.#socket.close();
  }

  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** @param {number} steps @param {string} ending */
  judge(steps, ending) {
    this.open = false;
    this.#socket.close();
    const got = this.#seen.filter((one) => one.startsWith("step"));
    const unique = new Set(got);
    figures.milestones += got.length;
    figures.lost += steps - unique.size;
    figures.repeated += got.length - unique.size;
    const endings = this.#seen.filter((one) => !one.startsWith("step"));
    figures.endings += endings.length;
    // Who was cut off between the ending and its own end asks again and gets 204.
    if (endings.length === 0 || endings[0] !== ending) figures.endingsMissing += 1;
    if (endings.length > 1) figures.repeated += 1;
    if (unique.size !== steps || endings.length !== 1)
      problems.push(`${this.#id}: ${this.#seen.join(" ")} (asked: ${steps} steps, ${ending})`);
  }

  #connect() {
    const polls = this.#transport === "poll";
    figures[polls ? "polls" : "connections"] += 1;
    return new SseSocket({
      url: this.#url,
      path: `/api/v1/tasks/${this.#id}/stream${polls ? `?transport=poll&wait=2${this.#rev}` : ""}`,
      ...(this.#lastEventId !== undefined && { lastEventId: this.#lastEventId }),
      onFrame: ({ event, id, data }) => {
        if (id !== undefined) this.#lastEventId = id;
        this.connected = true;
        if (event === "step") this.#seen.push(`step${JSON.parse(data).data}`);
        else if (event === "complete" || event === "failed" || event === "cancelled") this.#seen.push(event);
        else if (polls && event === "heartbeat")
          this.#rev = `&rev=${encodeURIComponent(JSON.parse(data).rev)}`;
      },
      onEnd: (end) => {
        if (!this.open) return;
        const heard = this.#seen.some((one) => !one.startsWith("step"));
        if (heard || (end.kind === "refused" && end.status === 204)) this.open = false;
        else if (polls && end.kind === "ended") this.#socket = this.#connect();
        else setTimeout(() => this.#comeBack(), 100);
      },
    });
  }

  #comeBack() {
    if (!this.open) return;
    figures.resumes += 1;
    this.#socket = this.#connect();
  }
}

/** @param {string} url @param {number} offset @param {Buffer} body */
async function patch(url, offset, body) {
  const answer = await fetch(url, {
    method: "PATCH",
    headers: {
      "Tus-Resumable": "1.0.0",
      "Upload-Offset": String(offset),
      "Content-Type": "application/offset+octet-stream",
    },
    body,
  });
  if (answer.status !== 204) throw new Error(`PATCH ${url}: ${answer.status} ${await answer.text()}`);
}

/** @param {string} url */
async function remove(url) {
  const answer = await fetch(url, { method: "DELETE" });
  if (!answer.ok) throw new Error(`DELETE ${url}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}

/** @param {Buffer} bytes */
function sha256(bytes) {
  return createHash("sha256").update(bytes).digest("hex");
}

takeOrders(CHURN);
