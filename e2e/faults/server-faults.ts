/** Faults of the server and of the machine below it: it dies, is replaced, is stopped, has no space, or lives an hour ago or ahead. */
import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { callHttp } from "../harness/http-call.js";
import type { Fault } from "./fault.js";
import { findFaketime } from "./machine-needs.js";
import { monotonicMs } from "./monotonic-clock.js";

export const SERVER_FAULTS: readonly Fault[] = [
  {
    name: "server killed",
    what: ({ whole }) =>
      `the server is killed with SIGKILL ${whole ? 8 : 2} times at random moments, and started again at once`,
    needs: [],
    stage: ({ form, random }) => ({
      severs: true,
      strike: async ({ server, restart }) => {
        const kills = form.whole ? 8 : 2;
        for (let kill = 0; kill < kills; kill += 1) {
          await pause(random.integer(200, 2_000));
          await server().kill();
          await restart();
        }
        return { liftedAtMs: monotonicMs(), evidence: `${kills} kills` };
      },
    }),
  },
  {
    name: "server replaced",
    what: ({ whole }) =>
      `the server gets SIGTERM, drains, ends, and is started again${whole ? ", three times" : ""}`,
    needs: [],
    stage: ({ form, random }) => ({
      severs: true,
      strike: async ({ server, restart }) => {
        const times = form.whole ? 3 : 1;
        for (let time = 0; time < times; time += 1) {
          await pause(random.integer(200, 2_000));
          const { code } = await server().stop();
          if (code !== 0) throw new Error(`SIGTERM ended the server with ${code}`);
          await restart();
        }
        return { liftedAtMs: monotonicMs(), evidence: `${times} restarts` };
      },
    }),
  },
  {
    name: "server stopped",
    what: ({ holdMs }) => `the server gets SIGSTOP, and SIGCONT after ${holdMs / 1_000} s`,
    needs: [],
    stage: ({ form }) => ({
      severs: true,
      strike: async ({ server }) => {
        server().signal("SIGSTOP");
        await pause(form.holdMs);
        server().signal("SIGCONT");
        return { liftedAtMs: monotonicMs(), evidence: `stopped for ${form.holdMs / 1_000} s` };
      },
    }),
  },
  {
    name: "store full",
    what: ({ holdMs }) =>
      `the data directory, a small tmpfs, is full to the last byte for ${holdMs / 1_000} s; producers are answered 507 and try again`,
    needs: ["mount"],
    stage: ({ form }) => {
      const directory = mkdtempSync(join(tmpdir(), "holdfast-small-"));
      const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", directory]);
      if (status !== 0) throw new Error(`no tmpfs at ${directory}: ${stderr.toString()}`);
      const ballast = join(directory, "ballast");
      const dataDir = join(directory, "data");
      mkdirSync(dataDir);
      return {
        dataDir,
        // Enough that the log of the database has to grow.
        payloadBytes: 8_000,
        severs: false,
        strike: async ({ producers }) => {
          const before = producers.retries;
          fill(ballast);
          await pause(form.holdMs);
          const refused = producers.retries - before;
          rmSync(ballast);
          if (refused === 0) throw new Error("the store was never full");
          return { liftedAtMs: monotonicMs(), evidence: `${refused} reports refused` };
        },
        cleanUp: () => {
          spawnSync("umount", ["-l", directory]);
          rmSync(directory, { recursive: true, force: true });
        },
      };
    },
  },
  clockFault("back", -3_600),
  clockFault("forward", 3_600),
];

/** The time of day of server and watchers in one step. Producers' leases are far shorter than the step: one that went by that clock would lapse. */
function clockFault(direction: "back" | "forward", stepSeconds: number): Fault {
  return {
    name: `clock ${direction} an hour`,
    what: () =>
      `the time of day of server and watchers (libfaketime) goes ${direction} an hour in one step, and stays there`,
    needs: ["faketime"],
    stage: ({ form }) => {
      const directory = mkdtempSync(join(tmpdir(), "holdfast-clock-"));
      const clock = join(directory, "offset");
      writeFileSync(clock, "+0\n");
      const env = {
        LD_PRELOAD: findFaketime() ?? "",
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: "1",
        // A step of the time of day leaves the monotonic clock alone.
        DONT_FAKE_MONOTONIC: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      };
      return {
        serverEnv: env,
        watcherEnv: env,
        severs: false,
        strike: async ({ url }) => {
          writeFileSync(clock, `${stepSeconds > 0 ? "+" : ""}${stepSeconds}\n`);
          const liftedAtMs = monotonicMs();
          await pause(form.holdMs);
          const { headers } = await callHttp(`${url}/healthz`);
          const aheadMs = Date.parse(headers.date ?? "") - Date.now();
          if (!(Math.abs(aheadMs - stepSeconds * 1_000) < 10_000))
            throw new Error(`the server's clock is ahead by ${aheadMs} ms`);
          return {
            liftedAtMs,
            evidence: `the server's Date was ${Math.round(Math.abs(aheadMs) / 1_000)} s ${stepSeconds > 0 ? "ahead" : "behind"}`,
          };
        },
        cleanUp: () => rmSync(directory, { recursive: true, force: true }),
      };
    },
  };
}

/** To the last byte: the server writes meanwhile, so only a write that fails tells. */
function fill(file: string): void {
  const block = Buffer.alloc(65_536);
  for (let size = block.length; size >= 1;) {
    try {
      appendFileSync(file, block.subarray(0, size));
    } catch {
      size = Math.floor(size / 2);
    }
  }
}
