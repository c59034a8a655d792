/**
 * Connections that break while the server sends: between two frames, within one, or by a reset. Each is a walk over cuts in an order drawn
 * from the seed; when it is through, the endings are cut, too.
 *
 * Behind each cut the same watcher gets a connection that lasts until it has heard something new: otherwise its backoff, which doubles with
 * each attempt that comes to nothing, would make of a thousand drops a long outage, which is another fault.
 */
import { setTimeout as pause } from "node:timers/promises";
import { afterBytes, afterFrames, afterNews, atEnding, CuttingProxy, type Cut } from "./cutting-proxy.js";
import type { Fault, Setting, Stage } from "./fault.js";
import { monotonicMs } from "./monotonic-clock.js";

export const CONNECTION_FAULTS: readonly Fault[] = [
  {
    name: "dropped between frames",
    what: ({ whole }) =>
      `connections end right behind their 1st, 2nd, … ${whole ? 40 : 8}th frame, each at least once, and around the endings`,
    needs: [],
    stage: (setting) =>
      walk(setting, {
        how: "drop",
        watchers: setting.form.whole ? 8 : 4,
        cuts: range(1, setting.form.whole ? 40 : 8).map((frames) => () => afterFrames(frames)),
      }),
  },
  {
    name: "dropped within frames",
    what: ({ whole }) =>
      whole
        ? "connections end behind every single one of their first 2,500 bytes, headers included, and behind 500 drawn from the next 20,000"
        : "connections end behind 60 bytes drawn from their first 2,500, headers included",
    needs: [],
    stage: (setting) => {
      const { form, random, tasks } = setting;
      const bytes = form.whole
        ? [...range(1, 2_500), ...range(1, 500).map(() => random.integer(2_501, 22_500))]
        : range(1, 60).map(() => random.integer(1, 2_500));
      return walk(setting, {
        how: "drop",
        // Each time one comes back it is sent all tasks of the batch: sixty of those would be a storm.
        watchers: form.whole ? (tasks > 1 ? 30 : 60) : 10,
        cuts: bytes.map((count) => () => afterBytes(count)),
      });
    },
  },
  {
    name: "reset",
    what: ({ whole }) =>
      `${whole ? 300 : 30} connections are reset (RST, to both sides) behind a byte drawn from their first 6,000`,
    needs: [],
    stage: (setting) => {
      const { form, random } = setting;
      return walk(setting, {
        how: "reset",
        watchers: 10,
        cuts: range(1, form.whole ? 300 : 30).map(() => {
          const count = random.integer(1, 6_000);
          return () => afterBytes(count);
        }),
      });
    },
  },
];

interface Walk {
  readonly how: "drop" | "reset";
  readonly watchers: number;
  readonly cuts: readonly (() => Cut)[];
}

const PLACES = ["before", "within", "behind"] as const;

function walk({ random }: Setting, { how, watchers, cuts }: Walk): Stage {
  const left = shuffle(cuts, () => random.next());
  let endingCuts = watchers * PLACES.length;
  let phase: "calm" | "walk" | "endings" = "calm";
  let cutShort = 0;
  let proxy: CuttingProxy | undefined;
  const healing = new Set<string>();
  const handedOut = new Map<Cut, () => Cut>();
  const drawCut = (watcher: string): Cut | undefined => {
    if (phase === "walk") {
      if (healing.delete(watcher)) return afterNews();
      const make = left.pop();
      if (make === undefined) return undefined;
      const cut = make();
      const counted: Cut = (chunk) => {
        const passing = cut(chunk);
        if (passing === undefined) return undefined;
        cutShort += 1;
        handedOut.delete(counted);
        healing.add(watcher);
        return passing;
      };
      handedOut.set(counted, make);
      return counted;
    }
    if (phase === "calm" || endingCuts === 0) return undefined;
    endingCuts -= 1;
    return atEnding(PLACES[random.integer(0, 2)] ?? "within");
  };
  return {
    watchers,
    route: async (serverUrl) => {
      const started = await CuttingProxy.start({
        targetPort: Number(new URL(serverUrl).port),
        how,
        drawCut,
        giveBack: (cut) => {
          const make = handedOut.get(cut);
          if (make !== undefined) left.push(make);
          handedOut.delete(cut);
        },
      });
      ({ proxy } = started);
      return started.url;
    },
    severs: true,
    strike: async ({ signal }) => {
      phase = "walk";
      proxy?.cutAll();
      while (cutShort < cuts.length) {
        if (signal.aborted) throw new Error(`${cutShort} of ${cuts.length} cuts came about in time`);
        await pause(50);
      }
      phase = "endings";
      return { liftedAtMs: monotonicMs(), evidence: `${cuts.length} cuts` };
    },
    cleanUp: () => proxy?.close(),
  };
}

function range(first: number, last: number): readonly number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

function shuffle<One>(list: readonly One[], next: () => number): One[] {
  const keyed = list.map((one) => ({ one, key: next() }));
  return keyed.toSorted((a, b) => a.key - b.key).map(({ one }) => one);
}
