/**
 * A Holdfast on a free loopback port for tests, its log lines, and a socket to say wrong things through.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pino } from "pino";
import { createHoldfast, type Holdfast } from "../holdfast.js";
import type { HoldfastOptions } from "../options.js";
import { MemoryStore } from "../stores/memory-store.js";

export interface Served {
  readonly holdfast: Holdfast;
  readonly url: string;
  readonly api: string;
  readonly port: number;
  readonly logs: { readonly [key: string]: unknown }[];
}

const opened: { readonly holdfast: Holdfast; readonly dataDir: string }[] = [];

export async function serve(options: HoldfastOptions = {}): Promise<Served> {
  const logs: Served["logs"] = [];
  const lines = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (const line of chunk.toString().trim().split("\n"))
        logs.push(JSON.parse(line) as Served["logs"][number]);
      done();
    },
  });
  const logger = pino({ level: "trace" }, lines);
  const dataDir = mkdtempSync(join(tmpdir(), "holdfast-served-"));
  const holdfast = await createHoldfast({
    port: 0,
    dataDir,
    store: new MemoryStore(),
    drainWindowMs: 100,
    logger,
    ...options,
  });
  opened.push({ holdfast, dataDir });
  const { url, port } = await holdfast.listen();
  return { holdfast, url, api: `${url}/api/v1`, port, logs };
}

/** For `afterEach`. */
export async function closeServed(): Promise<void> {
  const closing = opened.splice(0).map(async ({ holdfast, dataDir }) => {
    await holdfast.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
  await Promise.all(closing);
}

/** Sends the text as it is and returns all that came back until the other side closed, or the time was over. */
export async function talk(
  port: number,
  sent: string | Uint8Array,
  untilMs = 3_000,
): Promise<{ text: string; closed: boolean }> {
  return await new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, "127.0.0.1", () => void socket.write(sent));
    const settle = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text: Buffer.concat(chunks).toString("latin1"), closed });
    };
    const timer = setTimeout(() => settle(false), untilMs);
    socket.on("data", (chunk: Buffer) => void chunks.push(chunk));
    socket.on("error", () => settle(true));
    socket.on("close", () => settle(true));
  });
}

export interface JsonRequest {
  readonly method: string;
  readonly headers: { readonly [name: string]: string };
  readonly body: string;
}

export function json(method: string, body: unknown, headers: JsonRequest["headers"] = {}): JsonRequest {
  return { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** Waits for what another part of the process is about to do; fails after 3 s. */
export async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 3_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${condition.toString()}`);
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
}
