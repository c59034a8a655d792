/**
 * The bound on bytes: what a reader that has stopped costs, and that it loses nothing.
 *
 * One reader of one task stops reading; milestones of 4 KiB fill the kernel's buffers, by `/metrics`. Then 1,000 reports of progress: they must
 * add nothing to its queue, and when it reads on it must get no more than a few of them and the newest. It stops again, and milestones
 * go on until it is closed: the most that `/metrics` ever shows on one stream must be within the bound, the log line of the stream's end must say `slow-consumer`, and resuming by the last
 * cursor that the reader has read must give each milestone once and in order.
 */
import { comesTrue, post, readMetrics, report } from "./api.mjs";
import { startHoldfast } from "./server-child.mjs";
import { SseSocket } from "./sse-socket.mjs";

const REPORTS = 1_000;
const MAX_QUEUE_BYTES = 65_536;
const PAYLOAD = "x".repeat(4_096);
// Ten times what Linux lets the two ends of a loopback connection hold.
const MOST_MILESTONES = 20_000;

/** @param {import("./scale.mjs").PartInput} input @returns {Promise<import("./scale.mjs").PartResult>} */
export async function runBounds({ dataDir }) {
  /** @type {string[]} */
  const ends = [];
  const server = await startHoldfast(dataDir, ["--heartbeat=1s", "--log-level=info"], {
    onLine: (line) => {
      if (line.includes('"stream ended"')) ends.push(JSON.parse(line).reason);
    },
  });
  try {
    const { url } = server;
    await post(url, "/tasks", { id: "bound", total: 1_000_000 });
    const reader = new StoppingReader(url, "/api/v1/tasks/bound/stream");
    await comesTrue(() => reader.frames > 0, 5_000);

    let sent = 0;
    const send = async () => {
      await report(url, "bound", [{ type: "piece", data: { n: sent, payload: PAYLOAD } }]);
      sent += 1;
    };
    let most = 0;
    const queued = async () => {
      const bytes = (await readMetrics(url)).get("holdfast_stream_queued_bytes_max") ?? 0;
      most = Math.max(most, bytes);
      return bytes;
    };
    reader.pause();
    while ((await queued()) === 0 && sent < MOST_MILESTONES) await send();
    const beforeProgress = most;
    // As many requests, since the reports of one are one change.
    for (let done = 1; done <= REPORTS; done += 1)
      await report(url, "bound", [{ type: "progress", data: { done } }]);
    const addedByProgress = (await queued()) - beforeProgress;
    reader.resume();
    const newest = await comesTrue(() => reader.done === REPORTS, 5_000);
    const { progress } = reader;

    reader.pause();
    while (ends.length === 0 && sent < MOST_MILESTONES) {
      await send();
      if (sent % 8 === 0) await queued();
    }
    await comesTrue(() => ends.length > 0, 5_000);
    for (let more = 0; more < 100; more += 1) await send();
    reader.resume();
    await post(url, "/tasks/bound/events", { type: "complete", data: { result: null } });
    const whole = await comesTrue(() => reader.refused === 204, 30_000);
    const inOrder = reader.pieces.every((n, index) => n === index);
    return {
      figures: {
        maxQueueBytes: MAX_QUEUE_BYTES,
        mostHeldBytes: most,
        heldMoreByProgressBytes: addedByProgress,
        progressReported: REPORTS,
        progressSent: progress,
        milestones: sent,
        milestonesRead: reader.pieces.length,
        connections: reader.connections,
        firstEnd: ends[0],
      },
      checks: [
        [
          "bytes held for a stopped reader, at most",
          most,
          `≤ ${MAX_QUEUE_BYTES}`,
          most > 0 && most <= MAX_QUEUE_BYTES,
        ],
        ["… more of them by 1,000 reports of progress", addedByProgress, "≤ 0", addedByProgress <= 0],
        ["… progress events it got of those", progress, "≤ 3", progress >= 1 && progress <= 3],
        ["… and the newest came", String(newest), "true", newest],
        [
          "… milestones beyond the bound: log says",
          ends[0] ?? "nothing",
          "slow-consumer",
          ends[0] === "slow-consumer",
        ],
        [
          "… resumed: milestones read, of all sent",
          reader.pieces.length,
          sent,
          whole && reader.pieces.length === sent && inOrder,
        ],
        ["… on so many connections", reader.connections, "≥ 2", reader.connections >= 2],
      ],
    };
  } finally {
    await server.stop();
  }
}

/** Comes back with its cursor as long as it is let; reads only when told to. */
class StoppingReader {
  frames = 0;
  progress = 0;
  done = 0;
  connections = 0;
  refused = 0;
  /** @type {number[]} */
  pieces = [];
  #url;
  #path;
  /** @type {string | undefined} */
  #lastEventId;
  #socket;

  /** @param {string} url @param {string} path */
  constructor(url, path) {
    this.#url = url;
    this.#path = path;
    this.#socket = this.#connect();
  }

  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  #connect() {
    this.connections += 1;
    return new SseSocket({
      url: this.#url,
      path: this.#path,
      ...(this.#lastEventId !== undefined && { lastEventId: this.#lastEventId }),
      onFrame: ({ event, id, data }) => {
        this.frames += 1;
        if (id !== undefined) this.#lastEventId = id;
        if (event === "progress") {
          this.done = JSON.parse(data).done;
          // Those before show only that milestones came.
          if (this.done > 0) this.progress += 1;
        } else if (event === "piece") this.pieces.push(JSON.parse(data).data.n);
      },
      onEnd: (end) => {
        if (end.kind === "refused") this.refused = end.status;
        else this.#socket = this.#connect();
      },
    });
  }
}
