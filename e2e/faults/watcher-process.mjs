/**
 * Watchers in a process of their own, so that it can be stopped, live in another network or have another clock: the client as
 * it is published, and nothing else. Run with an IPC channel.
 *
 * The first message says what to watch; each later one is a question, answered with how far the watchers are or with all they heard.
 */
import { setTimeout as pause } from "node:timers/promises";
import { watchBatch, watchTask } from "@holdfast/client";
import { parseTaskId } from "@holdfast/protocol";
import { CrowdWatcher } from "./crowd-watcher.mjs";
import { WatchTally } from "./watch-tally.mjs";

/**
 * @typedef {{ readonly name: string, readonly taskId?: string, readonly batchId?: string, readonly crowd?: boolean }} WatchTarget
 * @typedef {{ readonly kind: "watch", readonly baseUrl: string, readonly transport: import("@holdfast/client").StreamTransport, readonly targets: readonly WatchTarget[] }} WatchOrder
 * @typedef {{ readonly kind: "look" | "report", readonly question: number }} Question
 * @typedef {{ readonly question: number, readonly newest: readonly number[], readonly connected: number, readonly over: number }} Look
 * @typedef {{ readonly question: number, readonly records: readonly import("./watch-tally.mjs").WatchRecord[] }} Report
 */

/** @type {{ readonly name: string, readonly tally: WatchTally }[]} */
const watchers = [];

process.on("message", (/** @type {WatchOrder | Question} */ message) => {
  if (message.kind === "watch") void watchAll(message);
  else process.send?.(message.kind === "look" ? look(message) : report(message));
});
process.once("disconnect", () => process.exit(0));

/** A few at a time: a thousand connections that are begun in one turn are a storm before the storm. @param {WatchOrder} order */
async function watchAll(order) {
  for (const [at, target] of order.targets.entries()) {
    watch(order, target);
    if (at % 50 === 49) await pause(50);
  }
}

/** @param {WatchOrder} order @param {WatchTarget} target */
function watch({ baseUrl, transport }, { name, taskId, batchId, crowd }) {
  const tally = new WatchTally();
  watchers.push({ name, tally });
  if (crowd === true) {
    void new CrowdWatcher(
      new URL(`${baseUrl}/tasks/${taskId}/stream`),
      transport === "poll",
      (event) => tally.hear(event, null, monotonicMs()),
      () => tally.lose(),
      () => (tally.outcome = "ended"),
    );
    return;
  }
  const options = {
    baseUrl,
    // For a proxy that treats each watcher in its own way.
    headers: { "X-Watcher": name },
    transports: [transport],
    /** @param {import("@holdfast/client").ConnectionInfo} connection */
    onConnection: ({ state, nextAttemptAt }) => tally.connectionIs(state, nextAttemptAt),
    /** @param {import("@holdfast/client").WatchEvent} event */
    onEvent: (event) => tally.hear(event, viewOf(event), monotonicMs()),
  };
  const one = batchId === undefined ? watchTask(taskId ?? "", options) : undefined;
  const many = batchId === undefined ? undefined : watchBatch(batchId, options);
  /** @param {import("@holdfast/client").WatchEvent} event */
  const viewOf = (event) => {
    if (one !== undefined) return one.task;
    const id = parseTaskId("taskId" in event.data ? (event.data.taskId ?? "") : "");
    return (id === undefined ? undefined : many?.tasks.get(id)) ?? null;
  };
  /** @type {Promise<unknown>} */
  const over = one?.ending ?? many?.done ?? Promise.resolve();
  over.then(
    () => (tally.outcome = "ended"),
    (/** @type {unknown} */ error) => (tally.outcome = String(error)),
  );
}

/** @param {Question} question @returns {Look} */
function look({ question }) {
  return {
    question,
    newest: watchers.map(({ tally }) => tally.newest),
    connected: watchers.filter(({ tally }) => tally.connections > 0).length,
    over: watchers.filter(({ tally }) => tally.outcome !== null).length,
  };
}

/** @param {Question} question @returns {Report} */
function report({ question }) {
  return { question, records: watchers.map(({ name, tally }) => tally.toRecord(name)) };
}

function monotonicMs() {
  return Number(process.hrtime.bigint()) / 1e6;
}
