/**
 * Starts a server as a child process and waits for the URL that it prints; stops it by its pid, also when we die.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const HOLDFAST = fileURLToPath(new URL("../packages/cli/dist/bin.js", import.meta.url));
const START_MS = 30_000;

/** @typedef {{ readonly url: string, readonly pid: number, readonly stop: () => Promise<void> }} ServerChild */

/** @param {string} dataDir @param {readonly string[]} flags @returns {Promise<ServerChild>} */
export async function startHoldfast(dataDir, flags) {
  return await startServer([
    HOLDFAST,
    "serve",
    "--port=0",
    `--data-dir=${dataDir}`,
    "--log-level=error",
    ...flags,
  ]);
}

/** @param {readonly string[]} args script and arguments; it prints a line with its URL @returns {Promise<ServerChild>} */
export async function startServer(args) {
  // Settings come by flags alone.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_")),
  );
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"], env });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {string} */
  const url = await new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(
      () => reject(new Error(`${args[0]} was not up within ${START_MS} ms`)),
      START_MS,
    );
    child.stdout.on("data", (/** @type {Buffer} */ chunk) => {
      output += chunk.toString();
      const found = /https?:\/\/[^\s"\\]+/.exec(output)?.[0];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    });
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`${args[0]} ended with ${code}: ${output}`));
    });
  });
  return {
    url,
    pid: child.pid ?? 0,
    stop: async () => {
      process.off("exit", kill);
      const exited = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill("SIGTERM");
      await exited;
    },
  };
}
