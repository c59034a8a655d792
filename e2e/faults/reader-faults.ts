/** Faults of those who watch: one that hardly reads, and very many that come back at once. */
import { setTimeout as pause } from "node:timers/promises";
import type { Fault } from "./fault.js";
import { monotonicMs } from "./monotonic-clock.js";

// Milestones of 30 s pass what the kernel buffers for a connection on loopback, up to 10 MB, and then the server's own bound.
const FAT_BYTES = 60_000;

export const READER_FAULTS: readonly Fault[] = [
  {
    name: "slow reader",
    what: ({ holdMs }) =>
      `the watchers' process gets SIGSTOP for ${holdMs / 1_000} s but for 50 ms every 3 s, while milestones of 60 kB come`,
    needs: [],
    stage: ({ form }) => ({
      payloadBytes: FAT_BYTES,
      periodMs: form.whole ? 100 : 20,
      // In the short form the kernel may hold all of it.
      severs: form.whole,
      strike: async ({ party }) => {
        const endMs = monotonicMs() + form.holdMs;
        while (monotonicMs() < endMs) {
          party.signal("SIGSTOP");
          await pause(Math.min(3_000, endMs - monotonicMs()));
          party.signal("SIGCONT");
          await pause(50);
        }
        return { liftedAtMs: monotonicMs(), evidence: `stopped for ${form.holdMs / 1_000} s` };
      },
    }),
  },
  {
    name: "reconnect storm",
    what: ({ stormWatchers }) =>
      `the server is killed with SIGKILL under ${stormWatchers.toLocaleString("en")} watchers and started again; all of them come back at once. One in twenty is the published client, the others are bare sockets with its backoff`,
    needs: [],
    alone: true,
    stage: ({ form, tasks }) => ({
      watchers: form.stormWatchers,
      watcherProcesses: 2,
      clients: form.stormWatchers / 20,
      oneTaskEach: true,
      // Two seconds between two milestones of a task: what each watcher hears is to be its connection, not the crowd's.
      periodMs: 2_000 / tasks,
      severs: true,
      strike: async ({ server, restart }) => {
        await server().kill();
        await restart();
        return { liftedAtMs: monotonicMs(), evidence: `${form.stormWatchers.toLocaleString("en")} watchers` };
      },
    }),
  },
];
