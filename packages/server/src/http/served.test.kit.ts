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

/** The head of an answer is there. */
export const HEAD: RegExp = /\r\n\r\n/;

/** Sends the text as it is and returns all that came back until the other side closed, or until that matches `enough`. */
export async function talk(port: number, sent: string | Uint8Array, enough?: RegExp): Promise<string> {
  return await new Promise((resolve) => {
    let text = "";
    const socket = connect(port, "127.0.0.1", () => void socket.write(sent));
    const settle = (): void => {
      socket.destroy();
      resolve(text);
    };
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      if (enough?.test(text) === true) settle();
    });
    socket.on("error", settle);
    socket.on("close", settle);
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

// Within the time of a test, so that what was waited for is named.
const PATIENCE_MS = 15_000;

/** Waits for what another part of the process is about to do; fails after 15 s. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${condition.toString()}`);
    await new Promise((resolve) => void setTimeout(resolve, 5));
  }
}
