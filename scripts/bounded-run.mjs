/**
 * Runs a command in a process group of its own, bounded in time: when the bound passes, or this process is told to stop, the whole
 * group goes, so that no browser or proxy of a suite outlives it. Called by: check-steps.mjs, test.mjs.
 */
import { spawn } from "node:child_process";

/** What a group gets between SIGTERM and SIGKILL. */
const GRACE_MS = 5_000;

/**
 * @typedef {object} Ran
 * @property {boolean} ok exit code 0 within the bound
 * @property {string} verdict `ok`, `exit 1`, `killed after 60 s`, `SIGSEGV`
 * @property {string} output stdout and stderr as they came; empty when shown
 * @property {number} seconds
 */

/**
 * @param {readonly string[]} command file and arguments
 * @param {{ cwd: string, maxSeconds: number, show?: boolean, env?: NodeJS.ProcessEnv }} options `show`: straight to the terminal
 * @returns {Promise<Ran>}
 */
export async function runBounded([file = "", ...args], { cwd, maxSeconds, show = false, env = process.env }) {
  const startedMs = performance.now();
  const child = spawn(file, args, {
    cwd,
    env,
    detached: true,
    stdio: ["ignore", show ? "inherit" : "pipe", show ? "inherit" : "pipe"],
  });
  let output = "";
  const keep = (/** @type {Buffer} */ chunk) => void (output += chunk.toString());
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);

  let timedOut = false;
  /** @type {NodeJS.Timeout | undefined} */
  let killing;
  const stop = () => {
    signalGroup(child.pid, "SIGTERM");
    killing ??= setTimeout(() => signalGroup(child.pid, "SIGKILL"), GRACE_MS);
  };
  const bound = setTimeout(() => {
    timedOut = true;
    stop();
  }, maxSeconds * 1_000);
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  try {
    /** @type {{ code: number | null, signal: string | null }} */
    const { code, signal } = await new Promise((resolve, reject) => {
      child.once("error", reject);
      // `close` waits for everybody who holds the pipes; a grandchild that does is in the group and dies with it.
      child.once("exit", () => signalGroup(child.pid, "SIGTERM"));
      child.once("close", (exitCode, exitSignal) => resolve({ code: exitCode, signal: exitSignal }));
    });
    const ok = code === 0 && !timedOut;
    const verdict = ok ? "ok" : timedOut ? `killed after ${maxSeconds} s` : (signal ?? `exit ${code}`);
    return { ok, verdict, output, seconds: (performance.now() - startedMs) / 1_000 };
  } catch (error) {
    return { ok: false, verdict: String(error), output, seconds: (performance.now() - startedMs) / 1_000 };
  } finally {
    clearTimeout(bound);
    clearTimeout(killing);
    // What ignored SIGTERM is not left behind.
    signalGroup(child.pid, "SIGKILL");
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** @param {number | undefined} pid @param {NodeJS.Signals} signal */
function signalGroup(pid, signal) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // The group is gone already, which is what was asked for.
  }
}
