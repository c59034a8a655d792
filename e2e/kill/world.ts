/**
 * The server under kills as its clients see it: an address that answers most of the time, and what it has said.
 */
import { setTimeout as pause } from "node:timers/promises";
import { callHttp, type HttpAnswer, type HttpCall, type JsonFields } from "../harness/http-call.js";
import { SeededRandom } from "../harness/seeded-random.js";
import { Ledger } from "./ledger.js";

// A killed server is back within half a second; the next try should not come much later.
const BACK_AFTER_MS = 15;

export class World {
  readonly ledger = new Ledger();
  readonly random: SeededRandom;
  readonly url: string;
  /** Aborted when the run has taken too long. */
  readonly signal: AbortSignal;

  constructor(url: string, seed: number, signal: AbortSignal) {
    this.url = url;
    this.random = new SeededRandom(seed);
    this.signal = signal;
  }

  api(path: string): string {
    return path.startsWith("/api/") ? `${this.url}${path}` : `${this.url}/api/v1${path}`;
  }

  /** Undefined when the connection broke, or the server is going or coming. */
  async try(path: string, call: HttpCall): Promise<HttpAnswer | undefined> {
    if (this.signal.aborted) throw new Error("the run took too long");
    try {
      const answer = await callHttp(this.api(path), call);
      if (answer.status !== 503) return answer;
    } catch {
      // Every way in which a connection can break is expected here, and means the same.
    }
    await pause(BACK_AFTER_MS);
    return undefined;
  }

  /** Again and again, until it is answered. */
  async insist(path: string, call: HttpCall = {}): Promise<HttpAnswer> {
    for (;;) {
      const answer = await this.try(path, call);
      if (answer !== undefined) return answer;
    }
  }

  async insistJson(
    path: string,
    json?: unknown,
    headers: HttpCall["headers"] = {},
  ): Promise<JsonFields & { httpStatus: number }> {
    const call: HttpCall =
      json === undefined
        ? { headers }
        : {
            method: "POST",
            headers: { "Content-Type": "application/json", ...headers },
            body: JSON.stringify(json),
          };
    const { status, body } = await this.insist(path, call);
    const text = body.toString();
    return { ...(text === "" ? {} : (JSON.parse(text) as JsonFields)), httpStatus: status };
  }

  /** Reads the task until it has ended, or until `enough` says so. Checks its bytes on the way. */
  async untilTask(id: string, enough: (task: JsonFields) => boolean = isEnded): Promise<JsonFields> {
    for (;;) {
      const floor = this.ledger.confirmed(id);
      const task = await this.insistJson(`/tasks/${id}`);
      if (task.httpStatus !== 200) {
        this.ledger.violation(`${id}: GET answers ${task.httpStatus}`);
        return task;
      }
      if (task["kind"] === "upload") this.ledger.stored(id, Number(task["uploaded"]), floor, "GET");
      if (enough(task)) return task;
      await pause(BACK_AFTER_MS);
    }
  }
}

function isEnded(task: JsonFields): boolean {
  return ["completed", "failed", "cancelled"].includes(String(task["status"]));
}
