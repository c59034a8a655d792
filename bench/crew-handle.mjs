/** A child process that takes orders over IPC (fleet.mjs, churn.mjs): started, called, ended by its own pid. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} CrewHandle
 * @property {number} pid
 * @property {(name: string, order?: object) => Promise<any>} call rejects when the process ends before it answers
 * @property {() => Promise<void>} kill SIGKILL; resolves when it has gone
 */

/** @param {URL} script @param {readonly string[]} [prefix] a command that runs node, such as `ip netns exec name` @returns {CrewHandle} */
export function startCrew(script, prefix = []) {
  const path = fileURLToPath(script);
  const [command, ...rest] = [...prefix, process.execPath];
  const child = fork(path, {
    execPath: command,
    execArgv: rest,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let calls = 0;
  child.on("message", (message) => {
    const { call, value, error } = /** @type {{ call: number, value?: unknown, error?: string }} */ (message);
    const waiter = waiting.get(call);
    waiting.delete(call);
    if (error === undefined) waiter?.resolve(value);
    else waiter?.reject(new Error(`${script.pathname}: ${error}`));
  });
  child.once("exit", (code, signal) => {
    process.off("exit", kill);
    for (const { reject } of waiting.values())
      reject(new Error(`${script.pathname} ended with ${code ?? signal}`));
    waiting.clear();
  });
  return {
    pid: child.pid ?? 0,
    call: async (name, order = {}) =>
      await new Promise((resolve, reject) => {
        calls += 1;
        waiting.set(calls, { resolve, reject });
        child.send({ call: calls, name, order });
      }),
    kill: async () => {
      const exited = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
      child.kill("SIGKILL");
      await exited;
    },
  };
}
