/**
 * A process of the run's own: started in its own group, heard until it is up, stopped whole. None outlives the run.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { comesTrue } from "./case.js";

const KEPT_CHARS = 16_384;
const UP_MS = 20_000;
const STOP_MS = 5_000;
const running = new Set<Child>();
process.once("exit", () => {
  for (const child of running) child.signal("SIGKILL");
});

export class Child {
  readonly #process: ChildProcess;
  output = "";

  constructor(command: string, args: readonly string[], directory: string) {
    this.#process = spawn(command, args, {
      cwd: directory,
      // Workers of a killed master would keep its port.
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`, HOME: directory },
    });
    running.add(this);
    this.#process.once("exit", () => running.delete(this));
    this.#process.once("error", (error) => (this.output += error.message));
    const hear = (chunk: Buffer): void =>
      void (this.output = (this.output + chunk.toString()).slice(-KEPT_CHARS));
    this.#process.stdout?.on("data", hear);
    this.#process.stderr?.on("data", hear);
  }

  get exited(): boolean {
    return (
      this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.pid === undefined
    );
  }

  /** To the whole group. */
  signal(name: NodeJS.Signals): void {
    try {
      if (this.#process.pid !== undefined) process.kill(-this.#process.pid, name);
    } catch {
      // The group is gone already, which is what a signal to it was for.
    }
  }

  /** To the master alone. */
  tell(name: NodeJS.Signals): void {
    this.#process.kill(name);
  }

  /** Rejects with its output, and leaves nothing running, when it does not come to listen. */
  async listens(port: number): Promise<void> {
    try {
      await this.#isUp(port);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #isUp(port: number): Promise<void> {
    const up = await comesTrue(async () => {
      if (this.exited) throw new Error(`ended before it was up: ${this.output}`);
      return await accepts(port);
    }, UP_MS);
    if (!up) throw new Error(`nothing listens on ${port} after ${UP_MS} ms: ${this.output}`);
  }

  async stop(): Promise<void> {
    if (!this.exited) {
      const exit = once(this.#process, "exit");
      this.signal("SIGTERM");
      const timer = setTimeout(() => this.signal("SIGKILL"), STOP_MS);
      await exit;
      clearTimeout(timer);
    }
    this.signal("SIGKILL");
  }
}

async function accepts(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

export function makeDirectory(): { readonly directory: string; readonly remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-conformance-"));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}
