/** Faults of those who watch: one that does not read, and very many that come back at once. */
import { setTimeout as pause } from "node:timers/promises";
import type { Fault } from "./fault.js";
import { monotonicMs } from "./monotonic-clock.js";

// Milestones of 30 s pass what the kernel buffers for a connection on loopback, up to 10 MB, and then the server's own bound.
const FAT_BYTES = 60_000;

export const READER_FAULTS: readonly Fault[] = [
  {
    name: "slow reader",
    what: ({ holdMs }) =>
      `the watchers read nothing for ${holdMs / 1_000} s (SIGSTOP), while milestones of 60 kB come: beyond what the kernel holds, beyond the server's own bound`,
    needs: [],
    stage: ({ form }) => ({
      payloadBytes: FAT_BYTES,
      periodMs: form.whole ? 100 : 20,
      // In the short form the kernel may hold all of it.
      severs: form.whole,
      strike: async ({ party }) => {
        party.signal("SIGSTOP");
        await pause(form.holdMs);
        party.signal("SIGCONT");
        return { liftedAtMs: monotonicMs(), evidence: `stopped for ${form.holdMs / 1_000} s` };
      },
    }),
  },
  {
    name: "reconnect storm",
    what: ({ stormWatchers }) =>
      `the server is killed with SIGKILL under ${count(stormWatchers.sse)} watchers (${count(stormWatchers.poll)} that poll: each milestone costs each of them a request) and started again; all of them come back at once. One in twenty is the published client, the others are bare sockets with its backoff`,
    needs: [],
    alone: true,
    stage: ({ form, tasks, transport }) => ({
      watchers: form.stormWatchers[transport],
      watcherProcesses: 2,
      clients: form.stormWatchers[transport] / 20,
      oneTaskEach: true,
      // Five seconds between two milestones of a task: it is to be a storm of connections, not of events.
      periodMs: 5_000 / tasks,
      severs: true,
      strike: async ({ server, restart }) => {
        await server().kill();
        await restart();
        return { liftedAtMs: monotonicMs(), evidence: `${count(form.stormWatchers[transport])} watchers` };
      },
    }),
  },
];

function count(watchers: number): string {
  return watchers.toLocaleString("en");
}
