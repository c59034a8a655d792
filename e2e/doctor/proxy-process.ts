/**
 * A proxy from Debian as a process of our own, with the configuration a case wants: on a free port of 127.0.0.1, its files in a
 * directory that goes with it, stopped by its pid. Called by: doctor.test.ts.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

export interface Place {
  readonly port: number;
  readonly directory: string;
}

export interface Product {
  readonly config: (place: Place) => string;
  readonly command: (configFile: string, place: Place) => readonly [string, ...string[]];
}

export interface RunningProxy {
  readonly port: number;
  stop(): Promise<void>;
}

const START_MS = 20_000;
const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function startProxy({ config, command }: Product): Promise<RunningProxy> {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-proxy-"));
  const place = { port: await freePort(), directory };
  const configFile = join(directory, "config");
  mkdirSync(join(directory, "scratch"));
  writeFileSync(configFile, config(place));
  const [file, ...args] = command(configFile, place);
  let output = "";
  const child = spawn(file, args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
  });
  running.add(child);
  child.stdout.on("data", (chunk: Buffer) => void (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => void (output += chunk.toString()));
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const killing = setTimeout(() => child.kill("SIGKILL"), 2_000);
    await exited;
    clearTimeout(killing);
    running.delete(child);
    rmSync(directory, { recursive: true, force: true });
  };
  for (const untilMs = performance.now() + START_MS; performance.now() < untilMs; await pause(50)) {
    if (child.exitCode !== null) break;
    // Any answer will do: of a wrong configuration the doctor is to say what is wrong.
    const up = await fetch(`http://127.0.0.1:${place.port}/healthz`, {
      signal: AbortSignal.timeout(2_000),
    }).then(
      () => true,
      () => false,
    );
    if (up) return { port: place.port, stop };
  }
  await stop();
  throw new Error(`${file} did not answer within ${START_MS} ms: ${output}`);
}

async function freePort(): Promise<number> {
  return await new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
