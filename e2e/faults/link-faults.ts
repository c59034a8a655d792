/**
 * Faults of the wire between server and watchers, on a network of their own. Producers reach the server as before, so there is always
 * something that the watchers are owed.
 */
import { setTimeout as pause } from "node:timers/promises";
import { DelayingProxy } from "./delaying-proxy.js";
import type { Fault, Stage, Struck } from "./fault.js";
import { monotonicMs } from "./monotonic-clock.js";
import { NetworkLink } from "./network-link.js";

const LOSS_PERCENT = 5;
const DELAY_MS = 200;
const SLOW_BYTES_PER_SECOND = 10_000;

/** A link that carries nothing while it is struck. */
function severing(strike: (link: NetworkLink) => Promise<Struck>): Stage {
  const link = new NetworkLink();
  return {
    host: link.serverHost,
    within: link.within,
    severs: true,
    strike: async () => await strike(link),
    cleanUp: () => link.remove(),
  };
}

export const LINK_FAULTS: readonly Fault[] = [
  {
    name: "half-open",
    what: ({ holdMs }) =>
      `for ${holdMs / 1_000} s every packet is dropped where it arrives (nftables), both ways: neither side is told`,
    needs: ["link"],
    stage: ({ form }) =>
      severing(async (link) => {
        link.dropPackets(100);
        await pause(form.holdMs);
        const dropped = link.stopDropping();
        return { liftedAtMs: monotonicMs(), evidence: `${dropped} packets dropped` };
      }),
  },
  {
    name: "link down",
    what: ({ holdMs }) =>
      `the watchers' network interface is down for ${holdMs / 1_000} s: they have no route`,
    needs: ["link"],
    stage: ({ form }) =>
      severing(async (link) => {
        link.setUp(false);
        await pause(form.holdMs);
        link.setUp(true);
        return { liftedAtMs: monotonicMs(), evidence: `down for ${form.holdMs / 1_000} s` };
      }),
  },
  {
    name: "loss and delay",
    what: ({ holdMs }) =>
      `for ${holdMs / 1_000} s ${LOSS_PERCENT} % of the packets are dropped at random, both ways (nftables), and what the server sends comes ${DELAY_MS} ms later (a proxy of ours, since not every kernel has netem)`,
    needs: ["link"],
    stage: ({ form }) => {
      const link = new NetworkLink();
      let proxy: DelayingProxy | undefined;
      return {
        host: link.serverHost,
        within: link.within,
        route: async (serverUrl) => {
          const targetPort = Number(new URL(serverUrl).port);
          const started = await DelayingProxy.start({ host: link.serverHost, targetPort });
          ({ proxy } = started);
          return started.url;
        },
        severs: false,
        strike: async () => {
          link.dropPackets(LOSS_PERCENT);
          if (proxy !== undefined) proxy.delayMs = DELAY_MS;
          await pause(form.holdMs);
          // Few packets in a short time: the lot may have fallen on none.
          for (let more = 0; more < 40 && link.dropped === 0; more += 1) await pause(250);
          const dropped = link.stopDropping();
          if (proxy !== undefined) proxy.delayMs = 0;
          if (dropped === 0) throw new Error("no packet was dropped");
          return { liftedAtMs: monotonicMs(), evidence: `${dropped} packets dropped` };
        },
        cleanUp: () => {
          proxy?.close();
          link.remove();
        },
      };
    },
  },
  {
    name: "10 kB/s",
    what: ({ holdMs }) =>
      `for ${holdMs / 1_000} s the line to the watchers carries 10 kB/s (tc tbf), a third of what the milestones need`,
    needs: ["link"],
    stage: ({ form }) => {
      const link = new NetworkLink();
      return {
        host: link.serverHost,
        within: link.within,
        payloadBytes: 3_000,
        severs: false,
        strike: async () => {
          link.limitBandwidth(SLOW_BYTES_PER_SECOND);
          await pause(form.holdMs);
          const delayed = link.liftBandwidth();
          if (delayed === 0) throw new Error("no packet had to wait");
          return { liftedAtMs: monotonicMs(), evidence: `${delayed} times a packet had to wait` };
        },
        cleanUp: () => link.remove(),
      };
    },
  },
];
