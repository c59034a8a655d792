/**
 * The processes that watch, seen from the runner: started where a fault wants them, asked how far they are, and told to report.
 *
 * Promises: no process outlives the test process; a question waits at most its bound, also while a watcher is stopped.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { StreamTransport } from "@holdfast/client";
import type { WatchRecord } from "./watch-tally.mjs";
import type { Look, Question, Report, WatchOrder, WatchTarget } from "./watcher-process.mjs";

export interface PartyOptions {
  readonly baseUrl: string;
  readonly transport: StreamTransport;
  readonly targets: readonly WatchTarget[];
  readonly processes: number;
  /** A command that runs another: `ip netns exec …`. */
  readonly within: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

const WATCHER = fileURLToPath(new URL("watcher-process.mjs", import.meta.url));
// A report of thousands of watchers is tens of megabytes.
const REPORT_MS = 60_000;
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class WatchParty {
  readonly #children: readonly ChildProcess[];
  #questions = 0;
  #output = "";

  constructor({ baseUrl, transport, targets, processes, within, env }: PartyOptions) {
    const [command, ...args] = [...within, process.execPath, WATCHER];
    this.#children = Array.from({ length: processes }, (_, index) => {
      const child = spawn(command, args, {
        stdio: ["ignore", "pipe", "pipe", "ipc"],
        env: { ...process.env, ...env },
      });
      running.add(child);
      child.setMaxListeners(0);
      child.once("exit", () => running.delete(child));
      for (const stream of [child.stdout, child.stderr]) {
        stream?.on("data", (chunk: Buffer) => {
          this.#output = (this.#output + chunk.toString()).slice(-4_096);
        });
      }
      const order: WatchOrder = {
        kind: "watch",
        baseUrl,
        transport,
        targets: targets.filter((_target, at) => at % processes === index),
      };
      child.send(order);
      return child;
    });
  }

  /** The last 4 KiB that they printed: nothing, unless one of them is broken. */
  get output(): string {
    return this.#output;
  }

  signal(name: NodeJS.Signals): void {
    for (const child of this.#children) child.kill(name);
  }

  /** Undefined when one of them does not answer in time. `newest` is in the order of the targets. */
  async look(withinMs = 2_000): Promise<Omit<Look, "question"> | undefined> {
    const looks = await this.#ask<Look>("look", withinMs);
    if (looks === undefined) return undefined;
    const newest: number[] = [];
    const count = looks.reduce((sum, look) => sum + look.newest.length, 0);
    for (let at = 0; at < count; at += 1)
      newest.push(looks[at % looks.length]?.newest[Math.floor(at / looks.length)] ?? 0);
    return {
      newest,
      connected: looks.reduce((sum, { connected }) => sum + connected, 0),
      over: looks.reduce((sum, { over }) => sum + over, 0),
    };
  }

  /** Rejects when one of them does not answer. */
  async report(): Promise<readonly WatchRecord[]> {
    const reports = await this.#ask<Report>("report", REPORT_MS);
    if (reports === undefined) throw new Error(`a watcher does not report: ${this.#output}`);
    return reports.flatMap(({ records }) => records);
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }

  async #ask<Answer extends { readonly question: number }>(
    kind: Question["kind"],
    withinMs: number,
  ): Promise<readonly Answer[] | undefined> {
    this.#questions += 1;
    const question: Question = { kind, question: this.#questions };
    const answers = await Promise.all(
      this.#children.map(async (child) => await askOne<Answer>(child, question, withinMs)),
    );
    const given = answers.filter((answer) => answer !== undefined);
    return given.length === answers.length ? given : undefined;
  }
}

async function askOne<Answer extends { readonly question: number }>(
  child: ChildProcess,
  question: Question,
  withinMs: number,
): Promise<Answer | undefined> {
  return await new Promise((resolve) => {
    const finish = (answer?: Answer): void => {
      clearTimeout(timer);
      child.off("message", hear);
      resolve(answer);
    };
    const hear = (message: unknown): void => {
      const answer = message as Answer; // from a file of ours
      if (answer.question === question.question) finish(answer);
    };
    const timer = setTimeout(finish, withinMs);
    child.on("message", hear);
    child.send(question, (error) => {
      if (error !== null) finish();
    });
  });
}
