/** What must be true when a part of the way goes away and comes back. They stop what others would be using: run alone, one by one. */
import { comesTrue, leaving, within, type Case, type ProxyControls, type Way } from "./case.js";
import { call } from "./line.js";
import { createTask, reportMark } from "./producer.js";
import { WatchedStream } from "./watched-stream.js";

const SOON_MS = 15_000;
const BACK_MS = 30_000;

export const OUTAGE_CASES: readonly Case[] = [
  {
    name: "origin away",
    promise:
      "A GET for events is answered with an empty stream and `retry:`, anything else with 502, 503 or 504.",
    needs: "orphan",
    run: async ({ orphan }) => {
      if (orphan === undefined) throw new Error("no way to an absent origin");
      const [events, json] = await Promise.all(
        ["text/event-stream", "application/json"].map(
          async (accept) =>
            await within(
              SOON_MS,
              "an answer",
              call(orphan, "/api/v1/tasks/x/stream", { headers: { accept } }),
            ),
        ),
      );
      const type = events?.headers["content-type"] ?? "none";
      const ok =
        events?.status === 200 &&
        type.startsWith("text/event-stream") &&
        /^retry: \d+\n\n$/.test(events.text) &&
        [502, 503, 504].includes(json?.status ?? 0);
      return { ok, seen: `${events?.status} ${type.split(";")[0]}, else ${json?.status}` };
    },
  },
  {
    name: "proxy reloaded",
    promise:
      "While the proxy takes over a changed configuration, and after it, no event is lost to who resumes.",
    needs: "proxy",
    run: async (way) => await overOutage(way, async ({ reload }) => await reload()),
  },
  {
    name: "proxy restarted",
    promise: "The proxy is killed and started again: who resumes has lost nothing.",
    needs: "proxy",
    run: async (way) => await overOutage(way, async ({ restart }) => await restart()),
  },
];

async function overOutage(
  { line, origin, proxy }: Way,
  happen: (controls: ProxyControls) => Promise<void>,
): Promise<{ ok: boolean; seen: string }> {
  if (proxy === undefined) throw new Error("no proxy to stop");
  return await leaving(async (keep) => {
    const task = await createTask(origin);
    const reported: string[] = [];
    const report = async (): Promise<void> => void reported.push((await reportMark(origin, task)).cursor);
    const first = keep(new WatchedStream(line, task.links.stream));
    await first.first("connected", SOON_MS);
    await report();
    await first.first("mark", SOON_MS);
    await happen(proxy);
    await report();
    const stayed = await first.first("mark", SOON_MS, 2).then(
      () => true,
      () => false,
    );
    const heard = first.named("mark").map(({ id }) => id);
    first.leave();
    const lastEventId = heard.at(-1);
    const back = await comesTrue(async () => {
      const second = keep(new WatchedStream(line, task.links.stream, lastEventId));
      try {
        await second.first("connected", SOON_MS);
        await report();
        const missing = await second.first("mark", SOON_MS, reported.length - heard.length);
        heard.push(...missing.map(({ id }) => id));
        return true;
      } catch {
        return false; // not up yet
      } finally {
        second.leave();
      }
    }, BACK_MS);
    const lost = reported.filter((cursor) => !heard.includes(cursor)).length;
    if (!back) return { ok: false, seen: "not back" };
    return { ok: lost === 0, seen: `${stayed ? "stream went on" : "cut, resumed"}, ${lost} lost` };
  });
}
