/**
 * A worker of a queue, in a process of its own so that it can be killed: takes one job at a time over its IPC channel, and
 * reports on it to Holdfast under the attempt that the queue gave it, each report with a lease and a key of its own.
 */
import { setTimeout as pause } from "node:timers/promises";

/** @typedef {{ readonly url: string, readonly jobId: string, readonly attempt: number, readonly steps: number, readonly leaseSeconds: number, readonly throwsAt: number | undefined }} Order */
/** @typedef {{ readonly kind: "step", readonly jobId: string, readonly step: number } | { readonly kind: "done" | "thrown", readonly jobId: string } | { readonly kind: "refused", readonly jobId: string, readonly attempt: number, readonly code: string }} News */

const STEP_MS = 40;

process.on("message", (/** @type {Order} */ order) => void work(order));
process.once("disconnect", () => process.exit(0));

/** @param {Order} order */
async function work(order) {
  const { jobId, attempt, steps } = order;
  for (let step = 1; step <= steps; step += 1) {
    await pause(STEP_MS);
    if (step === order.throwsAt) {
      const code = await report(order, "fail", { code: "OOM", message: "out of memory", retryable: true });
      return tell(code === undefined ? { kind: "thrown", jobId } : { kind: "refused", jobId, attempt, code });
    }
    const refused =
      (await report(order, "progress", { done: step, total: steps })) ??
      (await report(order, "step.done", { step, attempt }));
    if (refused !== undefined) return tell({ kind: "refused", jobId, attempt, code: refused });
    tell({ kind: "step", jobId, step });
  }
  const code = await report(order, "complete", { result: { attempt } });
  tell(code === undefined ? { kind: "done", jobId } : { kind: "refused", jobId, attempt, code });
}

/**
 * The code when it was refused.
 * @param {Order} order
 * @param {string} type
 * @param {object} data
 * @returns {Promise<string | undefined>}
 */
async function report({ url, jobId, attempt, leaseSeconds }, type, data) {
  const answer = await fetch(`${url}/api/v1/tasks/${jobId}/events`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() },
    body: JSON.stringify({ type, attempt, leaseSeconds, data }),
  });
  const body = /** @type {{ code?: string }} */ (await answer.json());
  return answer.ok ? undefined : (body.code ?? String(answer.status));
}

/** @param {News} news */
function tell(news) {
  process.send?.(news);
}
