/**
 * Starts a server as a child process and waits for the URL that it prints; stops it by its pid, also when we die.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const HOLDFAST = fileURLToPath(new URL("../packages/cli/dist/bin.js", import.meta.url));
const START_MS = 30_000;

/**
 * @typedef {object} ServerChild
 * @property {string} url
 * @property {number} pid
 * @property {import("node:child_process").ChildProcess} child
 * @property {() => Promise<void>} stop SIGTERM; resolves when it has gone
 */

/**
 * Port and log level are chosen unless the flags name them.
 * @param {string} dataDir @param {readonly string[]} flags @param {StartOptions} [options] @returns {Promise<ServerChild>}
 */
export async function startHoldfast(dataDir, flags, options) {
  const standard = ["--port=0", "--log-level=error"].filter(
    (one) => !flags.some((flag) => flag.startsWith(one.replace(/=.*/, "="))),
  );
  return await startServer([HOLDFAST, "serve", `--data-dir=${dataDir}`, ...standard, ...flags], options);
}

/**
 * @typedef {object} StartOptions
 * @property {(line: string) => void} [onLine] hears what it prints
 * @property {readonly string[]} [nodeFlags] before the script; with them the child has an IPC channel
 */

/** @param {readonly string[]} args script and arguments; it prints a line with its URL @param {StartOptions} [options] @returns {Promise<ServerChild>} */
export async function startServer(args, { onLine, nodeFlags } = {}) {
  // Settings come by flags alone.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_")),
  );
  const child = spawn(process.execPath, [...(nodeFlags ?? []), ...args], {
    stdio: ["ignore", "pipe", "inherit", nodeFlags === undefined ? "ignore" : "ipc"],
    env,
  });
  const { stdout } = child;
  if (stdout === null) throw new Error("a child without stdout");
  let rest = "";
  stdout.on("data", (/** @type {Buffer} */ chunk) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine?.(line);
  });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {string} */
  const url = await new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(
      () => reject(new Error(`${args[0]} was not up within ${START_MS} ms`)),
      START_MS,
    );
    const hear = (/** @type {Buffer} */ chunk) => {
      output += chunk.toString();
      const found = /https?:\/\/[^\s"\\]+/.exec(output)?.[0];
      if (found === undefined) return;
      clearTimeout(timer);
      stdout.off("data", hear);
      resolve(found);
    };
    stdout.on("data", hear);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`${args[0]} ended with ${code}: ${output}`));
    });
  });
  return {
    url,
    pid: child.pid ?? 0,
    child,
    stop: async () => {
      process.off("exit", kill);
      const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
      child.kill("SIGTERM");
      await exited;
    },
  };
}
