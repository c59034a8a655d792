/** One scenario under way: a server that misbehaves, a client, what was heard. Called by: the scenario tables. */
import type { StableEventSourceOptions } from "@holdfast/client";
import type { Play, ScriptedServer } from "../harness/scripted-server.js";

/** What StableEventSource and the naive wrapper have in common. */
export interface AnySource {
  readonly readyState: number;
  addEventListener(type: string, listener: (event: Event) => void, options?: AddEventListenerOptions): void;
  close(): void;
}

export type OpenSource = (url: string, options: StableEventSourceOptions) => AnySource;

export interface Scenario {
  /** What must be true. */
  readonly name: string;
  /** Whether the naive wrapper lives up to it; undefined where it depends on the Node it runs on. */
  readonly naive: boolean | undefined;
  readonly options?: StableEventSourceOptions;
  readonly play: Play;
  /** This many connections are closed as soon as they are accepted. */
  readonly slam?: number;
  /** The server comes up so much later. */
  readonly downForMs?: number;
  /** Rejects, or does not end in time, where it is not true. */
  readonly run: (stage: Stage) => Promise<void>;
}

export class Stage {
  readonly source: AnySource;
  readonly server: ScriptedServer;
  /** Data of what came to `addEventListener`, by type and in order, as a user adds it once. */
  readonly heard: string[] = [];
  /** Opens another client of the same kind at the same server; closed with the stage. */
  readonly open: () => AnySource;
  readonly errors: Event[] = [];

  constructor(source: AnySource, server: ScriptedServer, open: () => AnySource) {
    this.source = source;
    this.server = server;
    this.open = open;
    this.handle("error", (event) => this.errors.push(event));
  }

  /** By `onmessage`, `onerror`: what the wrapper too keeps. */
  handle(type: "message" | "error", handler: (event: Event) => void): void {
    Object.assign(this.source, { [`on${type}`]: handler });
  }

  listen(...types: readonly string[]): void {
    for (const type of types) {
      this.source.addEventListener(type, (event) => {
        this.heard.push(`${event.type} ${(event as MessageEvent<string>).data}`);
      });
    }
  }

  get requests(): number {
    return this.server.asked.length;
  }

  header(index: number, name: string): string | undefined {
    const value = this.server.asked[index]?.headers[name];
    return typeof value === "string" ? Buffer.from(value, "latin1").toString("utf8") : undefined;
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.pause(5);
  }

  async pause(ms: number): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
  }

  /** Exactly these; what else was heard fails the scenario. */
  is(actual: unknown, expected: unknown): void {
    const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (got !== wanted) throw new Error(`got ${got}, expected ${wanted}`);
  }
}
