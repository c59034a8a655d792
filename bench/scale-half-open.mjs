/**
 * Half-open peers: their link goes down without a word, and nobody ever says that they have gone.
 *
 * The peers live in a network namespace of their own, joined by a pair of virtual links, the server outside of it. When all are connected the link
 * is taken down. Milestones go on until the kernel's buffers are full, progress longer. Each peer may then hold at most 64 KiB above the kernel's buffers, and those that stay
 * half open must be freed by `max-stream-age`. Then once more, but their process is killed while the link is down and the link put up
 * again: the peer's kernel answers the next retransmission with RST, a failed write, and they must be freed before their age.
 * In the end no stream, timer, channel or queued byte is left. Needs root on Linux; without, it says so and asks for nothing.
 */
import { spawnSync } from "node:child_process";
import { comesTrue, post, readMetrics, report } from "./api.mjs";
import { startCrew } from "./crew-handle.mjs";
import { round } from "./report.mjs";
import { startHoldfast } from "./server-child.mjs";

const PEERS = 100;
const MAX_QUEUE_BYTES = 65_536;
const MAX_AGE_SECONDS = 12;
const NAMESPACE = `holdfast-${process.pid}`;
// At most 15 characters.
const OUTER = `hfo${process.pid}`;
const INNER = `hfi${process.pid}`;
// Of 198.18.0.0/15, which is for benchmarks and nobody's (RFC 2544); four addresses for each run.
const SUBNET = `198.18.${(process.pid >> 6) % 256}`;
const SERVER = `${SUBNET}.${(process.pid % 64) * 4 + 1}`;
const PEER = `${SUBNET}.${(process.pid % 64) * 4 + 2}`;

/** @param {import("./scale.mjs").PartInput} input @returns {Promise<import("./scale.mjs").PartResult>} */
export async function runHalfOpen({ dataDir }) {
  const refusal = buildLink();
  if (refusal !== undefined) {
    removeLink();
    console.log(`left out: ${refusal}`);
    return { figures: { leftOut: refusal }, checks: [] };
  }
  /** @type {Map<string, number>} */
  const reasons = new Map();
  const server = await startHoldfast(
    dataDir,
    [
      `--host=${SERVER}`,
      "--insecure",
      "--heartbeat=1s",
      "--log-level=info",
      `--max-stream-age=${MAX_AGE_SECONDS}s`,
    ],
    {
      onLine: (line) => {
        if (!line.includes('"stream ended"')) return;
        const { reason } = JSON.parse(line);
        reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
      },
    },
  );
  try {
    const byAge = await strand(server.url, "age", async () => undefined);
    const ofAge = Object.fromEntries(reasons);
    reasons.clear();
    const byReset = await strand(server.url, "reset", async (fleet) => {
      await fleet.kill();
      ip("link", "set", OUTER, "up");
    });
    const ofReset = Object.fromEntries(reasons);
    const left = await readMetrics(server.url);
    const rest = ["holdfast_stream_timers", "holdfast_channels_watched", "holdfast_stream_queued_bytes"].map(
      (name) => left.get(name) ?? Number.NaN,
    );
    const most = Math.max(byAge.mostBytes, byReset.mostBytes);
    return {
      figures: { peers: PEERS, maxAgeSeconds: MAX_AGE_SECONDS, byAge, ofAge, byReset, ofReset },
      checks: [
        [
          "bytes held for a half-open peer, at most",
          most,
          `≤ ${MAX_QUEUE_BYTES}`,
          most > 0 && most <= MAX_QUEUE_BYTES,
        ],
        // A tenth of the age is drawn away, and 5 s are given to the last bytes.
        [
          "… all freed by max-stream-age",
          `${byAge.freedSeconds} s`,
          `≤ ${MAX_AGE_SECONDS + 7} s`,
          byAge.freedSeconds <= MAX_AGE_SECONDS + 7,
        ],
        ["… as the log says, max-age", ofAge["max-age"] ?? 0, PEERS, ofAge["max-age"] === PEERS],
        [
          "… all freed by a failed write, peer-gone",
          ofReset["peer-gone"] ?? 0,
          PEERS,
          ofReset["peer-gone"] === PEERS,
        ],
        ["… timers, channels, bytes left", rest.join(" "), "0 0 0", rest.every((one) => one === 0)],
      ],
    };
  } finally {
    removeLink();
    await server.stop();
  }
}

/** @param {string} url @param {string} id @param {(fleet: import("./crew-handle.mjs").CrewHandle) => Promise<void>} next */
async function strand(url, id, next) {
  ip("link", "set", OUTER, "up");
  await post(url, "/tasks", { id, total: 1_000_000 });
  const fleet = startCrew(new URL("fleet.mjs", import.meta.url), ["ip", "netns", "exec", NAMESPACE]);
  try {
    const openedMs = performance.now();
    const { connected } = await fleet.call("open", {
      url,
      paths: [`/api/v1/tasks/${id}/stream`],
      count: PEERS,
      ratePerSecond: 400,
      localAddresses: [""],
    });
    if (connected !== PEERS) throw new Error(`${connected} of ${PEERS} peers connected`);
    ip("link", "set", OUTER, "down");
    let mostBytes = 0;
    let toldNext = false;
    let n = 0;
    const freed = await comesTrue(async () => {
      // Until the kernel's buffers are full; more would close them as slow consumers, which scale-bounds.mjs looks at.
      await report(url, id, [
        { type: "progress", data: { done: n } },
        ...(mostBytes === 0 ? [{ type: "piece", data: "x".repeat(30_000) }] : []),
      ]);
      n += 1;
      const metrics = await readMetrics(url);
      mostBytes = Math.max(mostBytes, metrics.get("holdfast_stream_queued_bytes_max") ?? 0);
      if (n > 10 && !toldNext) {
        toldNext = true;
        await next(fleet);
      }
      return metrics.get("holdfast_streams_open") === 0;
    }, 40_000);
    return { mostBytes, freedSeconds: freed ? round((performance.now() - openedMs) / 1_000, 1) : Infinity };
  } finally {
    await fleet.kill();
  }
}

/** @param {readonly string[]} args */
function ip(...args) {
  return spawnSync("ip", args, { encoding: "utf8", timeout: 5_000 });
}

/** Why there can be none, or undefined. */
function buildLink() {
  for (const args of [
    ["netns", "add", NAMESPACE],
    ["link", "add", OUTER, "type", "veth", "peer", "name", INNER, "netns", NAMESPACE],
    ["addr", "add", `${SERVER}/30`, "dev", OUTER],
    ["link", "set", OUTER, "up"],
    ["-n", NAMESPACE, "addr", "add", `${PEER}/30`, "dev", INNER],
    ["-n", NAMESPACE, "link", "set", INNER, "up"],
  ]) {
    const { status, stderr, error } = ip(...args);
    if (status !== 0) return `ip ${args.join(" ")}: ${error?.message ?? stderr.trim()}`;
  }
  return undefined;
}

function removeLink() {
  ip("link", "del", OUTER);
  ip("netns", "del", NAMESPACE);
}
