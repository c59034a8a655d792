/**
 * A queue of jobs with worker processes, as BullMQ works: a job is locked while its worker gives signs of life; one whose lock runs
 * out is given to another worker as the next attempt, and so is one that threw. The queue knows nothing of Holdfast.
 *
 * Promises: no worker outlives `close()`. Called by: queue.test.ts.
 */
import { fork, type ChildProcess } from "node:child_process";
import type { News, Order } from "./queue-worker.mjs";

export interface Job {
  readonly id: string;
  /** The first attempt throws instead of this step. */
  readonly throwsAt?: number;
}

export interface JobQueueOptions {
  readonly url: string;
  readonly steps: number;
  readonly leaseSeconds: number;
  readonly onNews: (news: News, worker: ChildProcess) => void;
}

interface Lock {
  readonly job: Job;
  readonly attempt: number;
  untilMs: number;
}

const WORKER = new URL("./queue-worker.mjs", import.meta.url);
// A step takes 50 ms; on a machine that does much else at once, ten times as long.
const LOCK_MS = 2_000;
const LOOK_EVERY_MS = 100;

export class JobQueue {
  readonly #options: JobQueueOptions;
  readonly #waiting: { readonly job: Job; readonly attempt: number }[] = [];
  readonly #workers = new Map<ChildProcess, Lock | undefined>();
  /** Lost their lock and may yet come back. */
  readonly #stalled = new Set<ChildProcess>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: JobQueueOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  add(job: Job): void {
    this.#waiting.push({ job, attempt: 1 });
    this.#assign();
  }

  startWorker(): void {
    const worker = fork(WORKER);
    this.#workers.set(worker, undefined);
    worker.on("message", (news: News) => {
      this.#hear(news, worker);
      this.#options.onNews(news, worker);
    });
    this.#assign();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const worker of [...this.#workers.keys(), ...this.#stalled]) worker.kill("SIGKILL");
  }

  #hear(news: News, worker: ChildProcess): void {
    const lock = this.#workers.get(worker);
    if (lock === undefined) return;
    lock.untilMs = performance.now() + LOCK_MS;
    if (news.kind === "step") return;
    this.#workers.set(worker, undefined);
    if (news.kind === "thrown") this.#waiting.push({ job: lock.job, attempt: lock.attempt + 1 });
    this.#assign();
  }

  #look(): void {
    for (const [worker, lock] of this.#workers) {
      if (lock === undefined || lock.untilMs > performance.now()) continue;
      this.#workers.delete(worker);
      this.#stalled.add(worker);
      this.#waiting.push({ job: lock.job, attempt: lock.attempt + 1 });
    }
    this.#assign();
  }

  #assign(): void {
    const { url, steps, leaseSeconds } = this.#options;
    for (const [worker, lock] of this.#workers) {
      if (lock !== undefined) continue;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const { job, attempt } = next;
      this.#workers.set(worker, { job, attempt, untilMs: performance.now() + LOCK_MS });
      const throwsAt = attempt === 1 ? job.throwsAt : undefined;
      const order: Order = { url, jobId: job.id, attempt, steps, leaseSeconds, throwsAt };
      worker.send(order);
    }
  }
}
