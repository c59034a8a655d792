/**
 * A browser with tabs, one lock and one channel, and a server with a history, all in hand: nothing moves until the test says which of the
 * things that wait happens next. What comes to a tab (a message, a lock, bytes) waits in a line of its own for each sender; a frozen tab
 * takes nothing from any of them, and its clock stands.
 */
import type { ConnectedManyData, Task, TaskId } from "@holdfast/protocol";
import { ManualEnvironment } from "./manual-environment.test.kit.js";
import type { OpenUpstream, UpstreamRequest, UpstreamSink } from "./shared-feed.js";
import { SharedTab } from "./shared-tab.js";
import { StreamMessageEvent, type StreamStateInfo } from "./stream-event.js";
import type { ChannelMessage } from "./tab-message.js";
import type { TabLocks } from "./tab-leadership.js";
import { cursor, task, taskId } from "./task.test.kit.js";

interface LockRequest {
  readonly tab: FakeTab;
  readonly granted: () => Promise<void>;
  readonly settle: (stolen: boolean) => void;
}

interface LoggedMilestone {
  readonly id: TaskId;
  readonly sequence: number;
  readonly ending: boolean;
}

/** Lets every promise that can settle do so. */
async function settlePromises(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}

export class FakeServer {
  readonly log: LoggedMilestone[] = [];
  readonly connections: Set<FakeConnection> = new Set();
  opened: number = 0;

  ended(id: TaskId): boolean {
    return this.log.some((one) => one.id === id && one.ending);
  }

  commit(id: TaskId, ending: boolean): void {
    if (this.ended(id)) return;
    this.log.push({ id, sequence: this.log.length + 1, ending });
    for (const connection of this.connections) connection.publish();
  }

  task(id: TaskId): Task {
    const newest = this.log.findLast((one) => one.id === id);
    const ended = newest?.ending === true;
    return task({
      id,
      status: ended ? "completed" : "processing",
      endedAt: ended ? newest.sequence : null,
      cursor: cursor(newest?.sequence ?? 0),
    });
  }
}

/** As a StableEventSource is: cut, it comes back by itself. */
export class FakeConnection {
  readonly #server: FakeServer;
  readonly #tab: FakeTab;
  readonly #request: UpstreamRequest;
  readonly #sink: UpstreamSink;
  readonly #line: string;
  readonly #shown = new Set<string>();
  #delivered: string;
  #sent = 0;

  constructor(server: FakeServer, tab: FakeTab, request: UpstreamRequest, sink: UpstreamSink) {
    this.#server = server;
    this.#tab = tab;
    this.#request = request;
    this.#sink = sink;
    this.#delivered = request.lastEventId;
    this.#line = `upstream ${++server.opened}`;
    tab.enqueue(this.#line, () => this.#begin());
  }

  close(): void {
    this.#server.connections.delete(this);
    this.#tab.drop(this.#line);
  }

  /** Whatever is under way is lost. */
  cut(): void {
    this.close();
    this.#tab.enqueue(this.#line, () => {
      this.#stand("waiting");
      this.#tab.enqueue(this.#line, () => this.#begin());
    });
  }

  get feed(): string {
    return this.#request.feed;
  }
  isOf(tab: FakeTab): boolean {
    return this.#tab === tab;
  }

  publish(): void {
    for (const { id, sequence, ending } of this.#server.log.slice(this.#sent)) {
      if (this.#covers(id)) {
        // [wire: many-order] a task added to a batch is introduced by its snapshot.
        if (!this.#shown.has(id)) this.#show(id);
        this.#send(
          ending ? "complete" : "stage",
          ending
            ? { taskId: id, timestamp: sequence, result: null }
            : { taskId: id, attempt: 1, stage: String(sequence), phase: "begin", timestamp: sequence },
          sequence,
        );
      }
    }
    this.#sent = this.#server.log.length;
    if (this.#request.feed === "tasks" && this.#request.ids.every((id) => this.#server.ended(id as TaskId)))
      this.#send("batchComplete", {
        batchId: null,
        tasks: 1,
        completed: 1,
        failed: 0,
        cancelled: 0,
        timestamp: 1,
      });
  }

  #covers(id: TaskId): boolean {
    return this.#request.feed !== "tasks" || this.#request.ids.includes(id);
  }

  #begin(): void {
    const { log } = this.#server;
    const ids =
      this.#request.feed === "tasks" ? this.#request.ids.map(taskId) : [...new Set(log.map(({ id }) => id))];
    const after = this.#delivered === "" ? undefined : Number(this.#delivered.split("-")[2]);
    const endings = log.filter(({ id, ending }) => ending && ids.includes(id));
    if (
      after !== undefined &&
      this.#request.feed === "tasks" &&
      endings.length === ids.length &&
      endings.every(({ sequence }) => sequence <= after)
    ) {
      this.#sink.over(null);
      return;
    }
    this.#stand("open");
    this.#server.connections.add(this);
    const first = Math.min(log.length, ...endings.map(({ sequence }) => sequence - 1));
    const from = after ?? first;
    const connected: ConnectedManyData = {
      batchId: null,
      taskIds: ids,
      timestamp: 1,
      cursor: cursor(from),
      resumed: after !== undefined,
      heartbeatMs: 10_000,
    };
    this.#send("connected", connected, from);
    this.#shown.clear();
    for (const id of ids) this.#show(id);
    // A late joiner gets of what is old the endings alone.
    const old = after === undefined ? endings : log.slice(after).filter(({ id }) => this.#covers(id));
    this.#sent = log.length;
    for (const { id, sequence, ending } of old) {
      if (ending) this.#send("complete", { taskId: id, timestamp: sequence, result: null }, sequence);
      else {
        const stage = {
          taskId: id,
          attempt: 1,
          stage: String(sequence),
          phase: "begin",
          timestamp: sequence,
        };
        this.#send("stage", stage, sequence);
      }
    }
    this.publish();
  }

  #send(type: string, data: object, sequence?: number): void {
    this.#tab.enqueue(this.#line, () => {
      if (sequence !== undefined) this.#delivered = cursor(sequence);
      const lastEventId = this.#delivered;
      this.#sink.message(
        new StreamMessageEvent(type, { data: JSON.stringify(data), lastEventId, origin: "" }),
      );
    });
  }

  #show(id: TaskId): void {
    this.#shown.add(id);
    this.#send("snapshot", { task: this.#server.task(id) });
  }

  #stand(state: "open" | "waiting"): void {
    const info: StreamStateInfo = {
      state,
      reason: state === "open" ? "opened" : "network",
      attempt: 0,
      nextAttemptAt: state === "open" ? null : 1,
      transport: "sse",
      lastByteAgeMs: null,
    };
    this.#sink.state(info);
  }
}

export class FakeTab {
  readonly name: string;
  readonly environment: ManualEnvironment = new ManualEnvironment();
  readonly shared: SharedTab;
  readonly #browser: FakeBrowser;
  readonly #lines = new Map<string, { readonly act: () => void; readonly missable: boolean }[]>();
  frozen: boolean = false;
  gone: boolean = false;
  rest: () => void = () => undefined;
  wake: () => void = () => undefined;
  hear: (message: ChannelMessage) => void = () => undefined;

  constructor(browser: FakeBrowser, name: string) {
    this.name = name;
    this.#browser = browser;
    const openUpstream: OpenUpstream = (request, sink) =>
      new FakeConnection(browser.server, this, request, sink);
    this.shared = new SharedTab({
      name: "lock",
      tab: name,
      openUpstream,
      surroundings: {
        environment: {
          now: () => browser.nowMs,
          random: this.environment.random,
          setTimer: this.environment.setTimer,
        },
        locks: browser.locksOf(this),
        openChannel: (_name, hear) => {
          this.hear = hear;
          return { post: (message) => browser.post(this, message), close: () => undefined };
        },
        listenForRest: (rest, wake) => {
          this.rest = rest;
          this.wake = wake;
          return () => undefined;
        },
      },
    });
  }

  enqueue(line: string, act: () => void, missable: boolean = false): void {
    if (this.gone) return;
    const waiting = this.#lines.get(line) ?? [];
    this.#lines.set(line, waiting);
    waiting.push({ act, missable });
  }

  /** What a leader has said and has not come yet never comes, as to a page that is kept for the back button. */
  miss(): void {
    for (const [line, waiting] of this.#lines)
      this.#lines.set(
        line,
        waiting.filter(({ missable }) => !missable),
      );
  }

  drop(line: string): void {
    this.#lines.delete(line);
  }

  /** Lines with something that can come now. */
  get ready(): (() => void)[] {
    if (this.frozen || this.gone) return [];
    return [...this.#lines].flatMap(([line, waiting]) => {
      if (waiting.length === 0) return [];
      return [() => this.#lines.get(line)?.shift()?.act()];
    });
  }

  close(): void {
    this.shared.close();
    this.gone = true;
    this.#browser.leave(this);
  }

  crash(): void {
    this.gone = true;
    for (const connection of this.#browser.server.connections) {
      if (connection.isOf(this)) connection.close();
    }
    this.#browser.leave(this);
  }
}

export class FakeBrowser {
  readonly server: FakeServer = new FakeServer();
  readonly tabs: FakeTab[] = [];
  refusesLocks: boolean = false;
  steals: number = 0;
  nowMs: number = 0;
  #holder: LockRequest | undefined;
  #queue: LockRequest[] = [];

  open(): FakeTab {
    const tab = new FakeTab(this, `tab${this.tabs.length}`);
    this.tabs.push(tab);
    return tab;
  }

  get alive(): FakeTab[] {
    return this.tabs.filter(({ gone }) => !gone);
  }

  /** Lets one thing happen, the n-th of those that can; false when there is none. */
  async deliver(n: number): Promise<boolean> {
    const ready = this.alive.flatMap((tab) => tab.ready);
    ready[n % ready.length]?.();
    await settlePromises();
    return ready.length > 0;
  }

  async settle(): Promise<void> {
    await settlePromises();
    for (let i = 0; await this.deliver(i); i++) {
      if (i === 20_000) throw new Error("the tabs never come to rest");
    }
  }

  /** In each tab that is not frozen. */
  async advance(ms: number): Promise<void> {
    this.nowMs += ms;
    for (const { frozen, environment } of this.alive) if (!frozen) environment.advance(ms);
    await settlePromises();
  }

  post(from: FakeTab, message: ChannelMessage): void {
    if (from.gone) return;
    // As structured cloning would.
    const copy = JSON.parse(JSON.stringify(message)) as ChannelMessage;
    for (const tab of this.alive) {
      if (tab !== from) tab.enqueue(`channel ${from.name}`, () => tab.hear(copy), "number" in copy);
    }
  }

  leave(tab: FakeTab): void {
    this.#queue = this.#queue.filter((request) => request.tab !== tab);
    if (this.#holder?.tab === tab) this.#grantNext();
  }

  locksOf(tab: FakeTab): TabLocks {
    return {
      request: (_name, { steal, signal }, granted) =>
        new Promise((resolve, reject) => {
          if (this.refusesLocks) {
            reject(new DOMException("no locks here", "SecurityError"));
            return;
          }
          const request: LockRequest = {
            tab,
            granted,
            settle: (stolen) => {
              if (stolen) tab.enqueue("lock", () => reject(new DOMException("stolen", "AbortError")));
              else resolve(undefined);
            },
          };
          signal?.addEventListener("abort", () => {
            if (!this.#queue.includes(request)) return;
            this.#queue = this.#queue.filter((other) => other !== request);
            reject(new DOMException("left", "AbortError"));
          });
          if (steal === true) {
            this.steals++;
            this.#holder?.settle(true);
            this.#grant(request);
          } else {
            this.#queue.push(request);
            if (this.#holder === undefined) this.#grantNext();
          }
        }),
    };
  }

  #grantNext(): void {
    this.#holder = undefined;
    const next = this.#queue.shift();
    if (next !== undefined) this.#grant(next);
  }

  #grant(request: LockRequest): void {
    this.#holder = request;
    request.tab.enqueue("lock", () => {
      void request.granted().then(() => {
        request.settle(false);
        if (this.#holder === request) this.#grantNext();
      });
    });
  }
}
