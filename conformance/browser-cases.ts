/**
 * The promises that a real browser can be asked for, with its own EventSource and fetch, and no code of ours in the page. Named as in cases.ts where
 * it is the same promise; all on one page, one after another.
 */
import type { Page } from "puppeteer-core";
import { comesTrue, type ProxyControls, type Sighting } from "./case.js";
import type { Line } from "./line.js";
import { completeTask, createTask, createUpload, readTask, reportMark } from "./producer.js";

export interface BrowserWay {
  readonly page: Page;
  readonly origin: Line;
  readonly proxy: ProxyControls;
  /** Through the same proxy to an origin that does not run. */
  readonly orphanUrl: string;
  readonly largeBytes: number;
  /** What the browser's console has said so far. */
  readonly console: readonly string[];
}

export interface BrowserCase {
  readonly name: string;
  readonly run: (way: BrowserWay) => Promise<Sighting>;
}

interface Heard {
  readonly name: string;
  readonly id: string;
  readonly atMs: number;
}

interface Snapshot {
  /** EventSource.readyState: 0 connecting, 1 open, 2 closed for good. */
  readonly state: number;
  readonly heard: readonly Heard[];
}

const SOON_MS = 30_000;

export const BROWSER_CASES: readonly BrowserCase[] = [
  {
    name: "first event",
    run: async ({ page, origin }) => {
      const task = await createTask(origin);
      const startedMs = Date.now();
      const stream = await openSource(page, task.links.stream);
      const ok = await stream.comes(({ heard }) => heard.some(({ name }) => name === "connected"));
      await stream.close();
      return { ok, seen: ok ? `${Date.now() - startedMs} ms` : "none" };
    },
  },
  {
    name: "event delay",
    run: async ({ page, origin }) => {
      const task = await createTask(origin);
      const stream = await openSource(page, task.links.stream);
      await stream.comes(({ state }) => state === 1);
      const reportedMs: number[] = [];
      for (let mark = 0; mark < 8; mark++) {
        reportedMs.push(Date.now());
        await reportMark(origin, task);
      }
      const ok = await stream.comes(({ heard }) => heard.filter(({ name }) => name === "mark").length === 8);
      const { heard } = await stream.read();
      await stream.close();
      const delays = heard
        .filter(({ name }) => name === "mark")
        .map(({ atMs }, at) => atMs - (reportedMs[at] ?? 0));
      const quicker = delays.toSorted((a, b) => a - b)[2] ?? Number.NaN;
      return { ok: ok && quicker <= 300, seen: `${quicker} ms` };
    },
  },
  {
    name: "heartbeat",
    run: async ({ page, origin }) => {
      const task = await createTask(origin);
      const stream = await openSource(page, task.links.stream);
      const ok = await stream.comes(
        ({ heard }) => heard.filter(({ name }) => name === "heartbeat").length >= 3,
      );
      const { heard } = await stream.read();
      await stream.close();
      // A stream that was cut in between would have connected twice.
      const connects = heard.filter(({ name }) => name === "connected").length;
      return { ok: ok && connects === 1, seen: `on ${connects} connection` };
    },
  },
  {
    name: "clean end",
    run: async ({ page, origin, console }) => {
      const task = await createTask(origin);
      const stream = await openSource(page, task.links.stream);
      await stream.comes(({ state }) => state === 1);
      const said = console.length;
      await completeTask(origin, task);
      const ok = await stream.comes(({ heard }) => heard.some(({ name }) => name === "complete"));
      await stream.comes(({ state }) => state === 2);
      // Aborted is how Chromium words a 204, which is what ends a stream for good.
      const complaints = console.slice(said).filter((line) => /ERR_(?!ABORTED)|interrupted/.test(line));
      await stream.close();
      return { ok: ok && complaints.length === 0, seen: complaints[0] ?? "nothing in the console" };
    },
  },
  {
    name: "204",
    run: async ({ page, origin }) => {
      const task = await createTask(origin);
      await completeTask(origin, task);
      const stream = await openSource(page, task.links.stream);
      const ok = await stream.comes(({ state }) => state === 2);
      const { heard } = await stream.read();
      await stream.close();
      const endings = heard.filter(({ name }) => name === "complete").length;
      return {
        ok: ok && endings === 1,
        seen: ok ? `closed after ${endings} ending` : "asks again and again",
      };
    },
  },
  {
    name: "7th connection",
    run: async ({ page, origin }) => {
      const task = await createTask(origin);
      const version = await page.evaluate(async (path) => {
        // As a page and its files do.
        for (let asked = 0; asked < 6; asked++) {
          await fetch(path);
          await new Promise((resolve) => void setTimeout(resolve, 130));
        }
        return performance.getEntriesByType("resource").at(-1)?.toJSON()["nextHopProtocol"] as string;
      }, `/api/v1/tasks/${task.id}`);
      const streams = [];
      for (let at = 0; at < 7; at++) streams.push(await openSource(page, task.links.stream));
      const opened = await Promise.all(
        streams.map(async (stream) => await stream.comes(({ state }) => state === 1)),
      );
      const status = await page.evaluate(
        async (path) =>
          await fetch(path, { signal: AbortSignal.timeout(15_000), cache: "no-store" }).then(
            (answer) => answer.status,
            () => 0,
          ),
        `/api/v1/tasks/${task.id}?again`,
      );
      for (const stream of streams) await stream.close();
      const open = opened.filter(Boolean).length;
      return { ok: open === 7 && status === 200, seen: `${open} streams, then ${status}, over ${version}` };
    },
  },
  {
    name: "large upload",
    run: async ({ page, origin, largeBytes }) => {
      const task = await createUpload(origin, largeBytes);
      const status = await page.evaluate(
        async (path, bytes) =>
          (await fetch(path, { method: "PUT", body: new Blob([new Uint8Array(bytes)]) })).status,
        `/api/v1/uploads/${task.id}/content`,
        largeBytes,
      );
      const { uploaded } = await readTask(origin, task);
      return { ok: status < 300 && uploaded === largeBytes, seen: `${status}, ${uploaded} bytes` };
    },
  },
  {
    name: "proxy restarted",
    run: async ({ page, origin, proxy }) => {
      const task = await createTask(origin);
      const stream = await openSource(page, task.links.stream);
      await stream.comes(({ state }) => state === 1);
      const cursors = [(await reportMark(origin, task)).cursor];
      await stream.comes(({ heard }) => heard.some(({ name }) => name === "mark"));
      await proxy.restart();
      cursors.push((await reportMark(origin, task)).cursor);
      const ok = await stream.comes(({ heard }) =>
        cursors.every((cursor) => heard.some(({ id, name }) => name === "mark" && id === cursor)),
      );
      const { state } = await stream.read();
      await stream.close();
      return { ok, seen: ok ? "came back by itself" : `readyState ${state}` };
    },
  },
  {
    name: "origin away",
    run: async ({ page, orphanUrl }) => {
      await page.goto(orphanUrl);
      const stream = await openSource(page, "/api/v1/tasks/x/stream");
      // Opened and asked again: neither closed for good nor stuck.
      const ok = await stream.comes(
        ({ state, heard }) => state !== 2 && heard.filter(({ name }) => name === "error").length >= 2,
      );
      const { state } = await stream.read();
      await stream.close();
      return { ok, seen: ok ? "asks again" : `readyState ${state}` };
    },
  },
];

interface Source {
  readonly read: () => Promise<Snapshot>;
  readonly comes: (what: (seen: Snapshot) => boolean) => Promise<boolean>;
  readonly close: () => Promise<void>;
}

/** A native EventSource, kept in the page under a name. */
async function openSource(page: Page, path: string): Promise<Source> {
  const kept = await page.evaluateHandle((url) => {
    const source = new EventSource(url);
    const heard: { name: string; id: string; atMs: number }[] = [];
    for (const name of ["connected", "mark", "heartbeat", "complete", "error"])
      source.addEventListener(name, (event) => {
        const id = event instanceof MessageEvent ? event.lastEventId : "";
        heard.push({ name, id, atMs: Date.now() });
      });
    return { source, heard };
  }, path);
  const read = async (): Promise<Snapshot> =>
    await kept.evaluate(({ source, heard }) => ({ state: source.readyState, heard }));
  return {
    read,
    comes: async (what) => await comesTrue(async () => what(await read()), SOON_MS),
    close: async () => await kept.evaluate(({ source }) => source.close()),
  };
}
