/**
 * `holdfast serve` as a process of its own: started, killed, stopped and started again on the same directory and port.
 *
 * Promises: `ready` resolves with the URL that the server prints once it answers, and rejects when the process ends before;
 * no server outlives the test process. Called by: every suite that needs a real process.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface ServerOptions {
  readonly dataDir: string;
  /** 0: a free one. */
  readonly port?: number;
  readonly flags?: readonly string[];
  /** Added to its environment. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

const CLI = fileURLToPath(new URL("../../packages/cli/dist/bin.js", import.meta.url));
// A start takes 0.4 s; on a machine that does much else at once, some seconds.
const START_MS = 30_000;
const KEPT_OUTPUT_CHARS = 65_536;
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export class ServerProcess {
  readonly exited: Promise<ServerExit>;
  /** The URL, without a trailing slash. */
  readonly ready: Promise<string>;
  readonly #child: ChildProcess;
  #output = "";

  constructor({ dataDir, port = 0, flags = [], env = {} }: ServerOptions) {
    const args = [CLI, "serve", "--port", String(port), "--data-dir", dataDir, ...flags];
    const child = spawn(process.execPath, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...bareEnvironment(), ...env },
    });
    this.#child = child;
    running.add(child);
    this.exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
    this.ready = new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not up within ${START_MS} ms: ${this.#output}`)),
        START_MS,
      );
      const hear = (chunk: Buffer): void => {
        this.#output = (this.#output + chunk.toString()).slice(-KEPT_OUTPUT_CHARS);
        const url = /Holdfast is up at (https?:\/\/[^\s"\\]+)/.exec(this.#output)?.[1];
        if (url !== undefined) resolve(url);
      };
      child.stdout?.on("data", hear);
      child.stderr?.on("data", hear);
      child.once("exit", (code, signal) =>
        reject(new Error(`ended (${code ?? signal}) before it was up: ${this.#output}`)),
      );
      void this.exited.finally(() => clearTimeout(timer));
      this.ready?.finally(() => clearTimeout(timer)).catch(() => undefined);
    });
    // Who kills a server during its start does not wait for it.
    this.ready.catch(() => undefined);
  }

  static async start(
    options: ServerOptions,
  ): Promise<{ readonly server: ServerProcess; readonly url: string }> {
    const server = new ServerProcess(options);
    return { server, url: await server.ready };
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The last 64 KiB of stdout and stderr. */
  get output(): string {
    return this.#output;
  }

  /** Resident memory in KiB, as the kernel counts it. */
  get rssKib(): number {
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))?.[1] ?? 0);
  }

  /** SIGSTOP, SIGCONT. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.exited;
  }

  /** SIGTERM; resolves with how it ended and after how long. */
  async stop(): Promise<ServerExit & { readonly elapsedMs: number }> {
    const startedMs = performance.now();
    this.#child.kill("SIGTERM");
    const exit = await this.exited;
    return { ...exit, elapsedMs: performance.now() - startedMs };
  }
}

/** Settings come by flags alone: what a developer has set for a server of their own is none of ours, and HOLDFAST_WHOLE is no setting. */
function bareEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_")));
}

/** A directory of its own, and what removes it. */
export function makeDataDir(): { readonly dataDir: string; readonly remove: () => void } {
  const dataDir = mkdtempSync(join(tmpdir(), "holdfast-e2e-"));
  return { dataDir, remove: () => rmSync(dataDir, { recursive: true, force: true }) };
}
