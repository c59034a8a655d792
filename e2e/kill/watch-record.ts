/**
 * What one watcher was sent over all its connections, and the promises that are judged as it comes:
 * cursors grow, no gap, the heartbeat's cursor is the last milestone written, stored bytes never go back, one ending a task.
 */
import { isEnding, parseCursor } from "@holdfast/protocol";
import type { Frame } from "../harness/event-reader.js";
import type { JsonFields } from "../harness/http-call.js";
import type { Ledger } from "./ledger.js";

export class WatchRecord {
  /** Cursors of all milestones, in the order in which they came. */
  readonly milestones: string[] = [];
  /** Cursor of the very first `connected`. */
  startedAt: string | undefined;
  batchCompletes = 0;
  readonly #name: string;
  readonly #ledger: Ledger;
  readonly #endings = new Map<string, string[]>();
  #floors = new Map<string, number>();
  #newest = -1;
  #connectionCursor: string | undefined;

  constructor(name: string, ledger: Ledger) {
    this.#name = name;
    this.#ledger = ledger;
  }

  endingsOf(taskId: string): readonly string[] {
    return this.#endings.get(taskId) ?? [];
  }

  connecting(): void {
    this.#connectionCursor = undefined;
    // Whatever had been confirmed before a connection was asked for, it must show.
    this.#floors = this.#ledger.floors();
  }

  frame({ event, id, data }: Frame): void {
    switch (event) {
      case "connected":
        this.#connected(id, data);
        break;
      case "snapshot":
        this.#stored(data["task"] as JsonFields, "snapshot");
        break;
      case "progress":
        this.#stored(data, "progress");
        break;
      case "gap":
        this.#violation(`a gap: ${JSON.stringify(data)}`);
        break;
      case "heartbeat":
        if (data["cursor"] !== this.#connectionCursor)
          this.#violation(`heartbeat says ${String(data["cursor"])}, last written ${this.#connectionCursor}`);
        break;
      case "batchComplete":
        this.batchCompletes += 1;
        this.#milestone(event, id, data);
        break;
      case "batch":
      case "drain":
      case "unavailable":
        break;
      default:
        this.#milestone(event, id, data);
    }
  }

  #connected(id: string | undefined, data: JsonFields): void {
    if (id === undefined || id !== data["cursor"])
      this.#violation(`connected has id ${id}, cursor ${String(data["cursor"])}`);
    if (this.startedAt !== undefined && data["resumed"] !== true) this.#violation(`not resumed at ${id}`);
    this.startedAt ??= id;
    this.#connectionCursor = id;
    if (data["task"] !== undefined) this.#stored(data["task"] as JsonFields, "connected");
  }

  #milestone(event: string, id: string | undefined, data: JsonFields): void {
    const sequence = parseCursor(id ?? "")?.sequence;
    if (id === undefined || sequence === undefined) {
      this.#violation(`${event} has no cursor`);
      return;
    }
    if (sequence <= this.#newest) this.#violation(`${event} ${id} came after sequence ${this.#newest}`);
    this.#newest = sequence;
    this.#connectionCursor = id;
    this.milestones.push(id);
    this.#ledger.event(id, event, data);
    if (isEnding(event)) {
      const taskId = String(data["taskId"]);
      this.#endings.set(taskId, [...this.endingsOf(taskId), event]);
    }
  }

  #stored(task: JsonFields, where: string): void {
    if (task["unit"] !== "bytes") return; // a producer's own numbers may be a second old after a crash
    const id = String(task["id"] ?? task["taskId"]);
    const uploaded = Number(task["uploaded"]);
    const ended = task["status"] === "completed";
    if (Number(task["percentage"]) >= 100 && !ended)
      this.#violation(`${id}: 100 % while ${String(task["status"])}`);
    this.#ledger.stored(id, uploaded, this.#floors.get(id) ?? 0, `${where} to ${this.#name}`);
    this.#floors.set(id, uploaded);
  }

  #violation(text: string): void {
    this.#ledger.violation(`${this.#name}: ${text}`);
  }
}
