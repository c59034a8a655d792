/**
 * The producers of a cell: each reports on one task in numbered milestones and progress, sends a report again under its own key until
 * it is answered, and says the ending when it is told to finish.
 *
 * Promises: `acknowledged` holds when the server confirmed each milestone; a refusal is a violation, since none of these reports is wrong.
 */
import { setTimeout as pause } from "node:timers/promises";
import { parseCursor } from "@holdfast/protocol";
import { callHttp } from "../harness/http-call.js";
import type { SeededRandom } from "../harness/seeded-random.js";
import { monotonicMs } from "./monotonic-clock.js";

export interface ProducersOptions {
  readonly url: string;
  readonly batchId: string;
  readonly taskIds: readonly string[];
  /** Between two reports of one task, on average. */
  readonly periodMs: number;
  /** Carried by each milestone. */
  readonly payloadBytes: number;
  readonly random: SeededRandom;
  /** Gives up. */
  readonly signal: AbortSignal;
}

export interface Acknowledged {
  readonly sequence: number;
  readonly taskId: string;
  readonly atMs: number;
}

interface Report {
  readonly type: string;
  readonly attempt: number;
  readonly leaseSeconds?: number;
  readonly data: object;
}

type Ending = "complete" | "failed" | "cancelled";

// Longer than any fault holds, and far shorter than the hour by which the clock is set.
const LEASE_SECONDS = 300;
const AGAIN_AFTER_MS = 40;
// A server that is stopped accepts and stays mute; its retries must not wait for the end of the fault.
const SILENCE_MS = 2_000;
/** No total, so that a bar may go on for as long as the fault lasts. */
const TASK = { unit: "steps", maxAttempts: 2 };

export class Producers {
  readonly acknowledged: Acknowledged[] = [];
  readonly violations: string[] = [];
  /** Steps that were confirmed, by task. */
  readonly steps: Map<string, number> = new Map();
  readonly endings: Map<string, Ending> = new Map();
  retries = 0;
  readonly #options: ProducersOptions;
  #finishing = false;
  #work: Promise<unknown> = Promise.resolve();

  constructor(options: ProducersOptions) {
    this.#options = options;
  }

  async create(): Promise<void> {
    const { batchId, taskIds } = this.#options;
    await this.#insist("POST", "/batches", { id: batchId }, [201]);
    for (const id of taskIds) await this.#insist("POST", "/tasks", { ...TASK, id, batchId }, [201]);
  }

  start(): void {
    this.#work = Promise.all(this.#options.taskIds.map(async (id, index) => await this.#produce(id, index)));
    this.#work.catch(() => undefined); // asked for in finish
  }

  /** Every task gets its ending, and the batch is closed. */
  async finish(): Promise<void> {
    this.#finishing = true;
    await this.#work;
    await this.#insist("POST", `/batches/${this.#options.batchId}/close`, undefined, [200, 204]);
  }

  async #produce(id: string, index: number): Promise<void> {
    const { periodMs, payloadBytes, random } = this.#options;
    const pad = "x".repeat(payloadBytes);
    const failsAt = random.integer(5, 40);
    let attempt = 1;
    let done = 0;
    await pause(random.next() * periodMs);
    for (let step = 1; !this.#finishing; step += 1) {
      done += random.integer(1, 5);
      const progress = { type: "progress", attempt, leaseSeconds: LEASE_SECONDS, data: { done } };
      const milestone = { type: "step.done", attempt, data: { step, pad } };
      // Together or one by one: both are a producer's to choose.
      if (random.next() < 0.5) await this.#report(id, `${step}-p`, [progress]);
      else await this.#report(id, `${step}-p`, [progress, { ...progress, data: { done: done + 1 } }]);
      done += 1;
      await this.#report(id, `${step}-m`, [milestone]);
      this.steps.set(id, step);
      if (step === failsAt) {
        const data = { code: "TRY_AGAIN", message: "the first attempt failed", retryable: true };
        await this.#report(id, `${step}-f`, [{ type: "fail", attempt, data }]);
        attempt += 1;
        done = 0;
      }
      await pause(periodMs * (0.5 + random.next()));
    }
    await this.#end(id, attempt, ["complete", "failed", "cancelled"][index % 3]);
  }

  async #end(id: string, attempt: number, how = "complete"): Promise<void> {
    if (how === "cancelled") {
      await this.#insist("DELETE", `/tasks/${id}`, undefined, [200, 204]);
      this.endings.set(id, "cancelled");
    } else if (how === "failed") {
      const data = { code: "BROKEN", message: "it failed for good", retryable: false };
      await this.#report(id, "ending", [{ type: "fail", attempt, data }]);
      this.endings.set(id, "failed");
    } else {
      await this.#report(id, "ending", [{ type: "complete", attempt, data: { result: { attempt } } }]);
      this.endings.set(id, "complete");
    }
  }

  async #report(id: string, key: string, reports: readonly Report[]): Promise<void> {
    const answer = await this.#insist("POST", `/tasks/${id}/events`, reports, [200], `${id}-${key}`);
    const sequence = parseCursor(String(answer["cursor"]))?.sequence;
    if (sequence !== undefined && reports.every(({ type }) => type !== "progress"))
      this.acknowledged.push({ sequence, taskId: id, atMs: monotonicMs() });
  }

  /** A list is sent as NDJSON. 409 to a creation that was sent before says that it was heard. */
  async #insist(
    method: string,
    path: string,
    json: unknown,
    good: readonly number[],
    key?: string,
  ): Promise<{ readonly [name: string]: unknown }> {
    const { url, signal } = this.#options;
    const lines = Array.isArray(json);
    const body = lines ? json.map((one) => `${JSON.stringify(one)}\n`).join("") : JSON.stringify(json);
    const headers = {
      ...(json !== undefined && { "Content-Type": lines ? "application/x-ndjson" : "application/json" }),
      ...(key !== undefined && { "Idempotency-Key": key }),
    };
    for (let tries = 1; !signal.aborted; tries += 1) {
      try {
        const call = { method, headers, silenceMs: SILENCE_MS, ...(json !== undefined && { body }) };
        const { status, body: answer } = await callHttp(`${url}/api/v1${path}`, call);
        const text = answer.toString();
        if (good.includes(status))
          return text === "" ? {} : (JSON.parse(text) as { readonly [name: string]: unknown });
        if (key === undefined && status === 409 && tries > 1) return {};
        if (status !== 503 && status !== 507) {
          this.violations.push(`${method} ${path} ${key ?? ""} answers ${status} ${text.slice(0, 300)}`);
          return {};
        }
      } catch {
        // Every way in which a connection can break is expected here, and means the same.
      }
      this.retries += 1;
      await pause(AGAIN_AFTER_MS, undefined, { signal }).catch(() => undefined);
    }
    throw new Error(`${method} ${path} was never answered`);
  }
}
