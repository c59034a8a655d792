/**
 * What of a feed reaches one watch: the follower's half of sharing, pure but for what it delivers.
 *
 * A feed is made for the wishes of many tabs, so it brings other tasks, milestones that this watch has had, and begins anew whenever
 * somebody wants something more. To its watch it is one stream of its own:
 *  1. Each milestone after the cursor where it joined comes once, in order; each task's ending comes once.
 *  2. It hears nothing unless it has joined: the feed began at or before the cursor that it had come to (`#after`), which
 *     moves on with every milestone of the feed, its own or not.
 *  3. A watch that begins anew joins wherever the feed is. Endings from before stand in the snapshots, and are told from them.
 *  4. Where the server did not take the cursor (another store) it is told a `gap` and begins anew.
 * Called by SharedSource.
 */
import {
  isTerminal,
  type BatchCompleteData,
  type ConnectedData,
  type ConnectedManyData,
  type GapData,
  type SnapshotData,
  type Task,
} from "@holdfast/protocol";
import { isLater, isSameStore } from "./cursor-order.js";
import type { EventBody, OpenedBody } from "./tab-message.js";
import { toEndingEvent } from "./task-ending.js";

/** What is watched: one task as on a stream of its own, tasks by name, or whatever the feed brings. */
export type FeedView =
  | { readonly kind: "task"; readonly id: string }
  | { readonly kind: "tasks"; readonly ids: ReadonlySet<string> }
  | { readonly kind: "batch" };

type TerminalStatus = "completed" | "failed" | "cancelled";

export interface FeedReaderSink {
  message(type: string, data: string, lastEventId: string): void;
  /** The one task can't be watched; `code` says why. */
  refused(code: string): void;
}

export class FeedReader {
  readonly #view: FeedView;
  readonly #sink: FeedReaderSink;
  readonly #shown = new Set<string>();
  /** Snapshots that its beginning still lacks. */
  readonly #awaited = new Set<string>();
  readonly #unavailable = new Set<string>();
  readonly #ended = new Set<string>();
  readonly #endings = { completed: 0, failed: 0, cancelled: 0 };
  #joined = false;
  #after = "";
  /** Where it began: endings up to there come with no event of their own. */
  #base = "";
  #greeting: ConnectedManyData | undefined;

  constructor(view: FeedView, sink: FeedReaderSink) {
    this.#view = view;
    this.#sink = sink;
  }

  get joined(): boolean {
    return this.#joined;
  }

  /** Everything up to it has been heard; empty before it has joined. */
  get after(): string {
    return this.#after;
  }

  leave(): void {
    this.#joined = false;
    // Without the snapshots nothing stands for what was before them.
    if (this.#awaited.size > 0) this.#after = "";
  }

  opened({ ids, asked, cursor, data }: OpenedBody): void {
    this.#joined = false;
    const view = this.#view;
    if (view.kind === "task" && !ids.includes(view.id)) return;
    if (view.kind === "tasks" && ![...view.ids].every((id) => ids.includes(id))) return;
    const known = this.#after !== "";
    const foreign = known && ((asked !== "" && asked !== cursor) || !isSameStore(this.#after, cursor));
    // [wire: late-joiner] asked without a cursor, it begins at one but leaves out what is old.
    if (known && !foreign && (asked === "" || isLater(cursor, this.#after))) {
      this.leave();
      return;
    }
    this.#joined = true;
    if (known && !foreign) return;
    const from = this.#after;
    this.#after = this.#base = cursor;
    this.#shown.clear();
    this.#awaited.clear();
    this.#greet(JSON.parse(data) as ConnectedManyData);
    if (!foreign) return;
    const gap = { taskId: view.kind === "task" ? view.id : null, from, to: cursor };
    this.#deliver("gap", gap);
  }

  take({ type, data, id, taskId }: EventBody): void {
    if (!this.#joined) return;
    if (id !== "") {
      if (!isLater(id, this.#after)) return;
      this.#after = id;
    }
    if (taskId !== null && !this.#watches(taskId)) return;
    // Nothing follows an ending; begun anew further back, the feed may bring what was before it.
    if (id !== "" && taskId !== null && this.#ended.has(taskId)) return;
    switch (type) {
      case "snapshot":
        this.#show((JSON.parse(data) as SnapshotData).task, data);
        return;
      case "unavailable":
        this.#miss(taskId ?? "", data);
        return;
      case "complete":
        this.#end(taskId ?? "", "completed", type, data);
        return;
      case "failed":
      case "cancelled":
        this.#end(taskId ?? "", type, type, data);
        return;
      case "gap":
        // Who has heard what is missing has missed nothing.
        if (isLater((JSON.parse(data) as GapData).to, this.#after) || id !== "") this.#pass(type, data);
        return;
      case "batchComplete":
        if (this.#view.kind === "batch") this.#pass(type, data);
        return;
      default:
        this.#pass(type, data);
    }
  }

  #watches(taskId: string): boolean {
    const view = this.#view;
    if (view.kind === "task") return view.id === taskId;
    return view.kind === "batch" || view.ids.has(taskId);
  }

  /** A stream of one task is greeted with the task, which comes next. */
  #greet(connected: ConnectedManyData): void {
    const view = this.#view;
    this.#greeting = { ...connected, resumed: false };
    const taskIds = connected.taskIds.filter((id) => this.#watches(id));
    for (const id of taskIds) this.#awaited.add(id);
    if (view.kind === "task") return;
    this.#deliver("connected", { ...this.#greeting, taskIds });
  }

  #show(task: Task, data: string): void {
    const first = !this.#shown.has(task.id);
    this.#shown.add(task.id);
    this.#awaited.delete(task.id);
    if (first && this.#view.kind === "task" && this.#greeting !== undefined) {
      const { timestamp, heartbeatMs, resumed } = this.#greeting;
      const cursor = this.#base as ConnectedData["cursor"];
      this.#deliver("connected", { taskId: task.id, timestamp, cursor, resumed, heartbeatMs, task });
    } else this.#pass("snapshot", data);
    if (!first || !isTerminal(task.status)) return;
    if (isSameStore(task.cursor, this.#base) && isLater(task.cursor, this.#base)) return;
    const ending = toEndingEvent(task);
    if (ending !== undefined) this.#end(task.id, task.status, ending.type, JSON.stringify(ending.data));
  }

  #miss(taskId: string, data: string): void {
    if (this.#view.kind === "task") {
      this.#sink.refused((JSON.parse(data) as { readonly code: string }).code);
      return;
    }
    this.#pass("unavailable", data);
    this.#unavailable.add(taskId);
    this.#completeIfAll();
  }

  #end(taskId: string, status: TerminalStatus, type: string, data: string): void {
    if (this.#ended.has(taskId)) return;
    this.#ended.add(taskId);
    this.#endings[status]++;
    this.#pass(type, data);
    this.#completeIfAll();
  }

  /** The feed's own `batchComplete` is about the wishes of all. */
  #completeIfAll(): void {
    const view = this.#view;
    if (view.kind !== "tasks" || this.#greeting === undefined) return;
    for (const id of view.ids) if (!this.#ended.has(id) && !this.#unavailable.has(id)) return;
    const { timestamp } = this.#greeting;
    const tasks = this.#ended.size;
    const complete: BatchCompleteData = { batchId: null, tasks, ...this.#endings, timestamp };
    this.#deliver("batchComplete", complete);
  }

  #deliver(type: string, data: object): void {
    this.#pass(type, JSON.stringify(data));
  }

  #pass(type: string, data: string): void {
    this.#sink.message(type, data, this.#after);
  }
}
