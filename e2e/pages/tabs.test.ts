/**
 * Ten tabs with ten tasks each in a real browser: one connection, whatever becomes of the tab that holds it.
 */
import type { Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openBrowser, type BrowserName, type OpenBrowser } from "../harness/browser.js";
import { buildPageScript } from "../harness/page-script.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const WAIT = { timeout: 60_000, interval: 100 };
const TABS = 10;
const TASKS = 10;
const STAGES = 7;

interface Tab {
  readonly page: Page;
  readonly ids: readonly string[];
}

interface Heard {
  readonly [taskId: string]: readonly string[];
}

declare global {
  var watchAll: (ids: readonly string[]) => void;
  var heard: { [taskId: string]: string[] };
  var leading: () => boolean;
}

const PAGE_SCRIPT = `
import { createSharedStreams } from "@holdfast/client/shared";
const shared = createSharedStreams();
globalThis.heard = {};
globalThis.leading = () => shared.leading;
globalThis.watchAll = (ids) => {
  for (const id of ids) {
    heard[id] = [];
    shared.watchTask(id, {
      onEvent: ({ type, data }) => {
        if (type === "connected" || type === "complete") heard[id].push(type);
        if (type === "stage" && data.phase === "begin") heard[id].push(data.stage);
      },
    });
  }
};
`;

/** What becomes of a tab; what it returns brings the tab back. */
type Trouble = (page: Page) => Promise<undefined | (() => Promise<void>)>;

const close: Trouble = async (page) => {
  await page.close();
  return undefined;
};

const crash: Trouble = async (page) => {
  // The answer never comes.
  await page.goto("chrome://crash").catch(() => undefined);
  return undefined;
};

/** Unannounced, as by a debugger or a busy script: it keeps the lock, and neither messages nor timers run. */
const freeze: Trouble = async (page) => {
  const session = await page.createCDPSession();
  await session.send("Debugger.enable");
  await session.send("Debugger.pause");
  return async () => {
    await session.send("Debugger.resume");
    await session.detach();
  };
};

/** At which stage, in which browser. */
const TROUBLES: { readonly [name in BrowserName]: { readonly [stage: number]: Trouble } } = {
  chromium: { 1: close, 3: crash, 5: freeze },
  firefox: { 1: close, 3: close },
};

const whole = ["connected", ...Array.from({ length: STAGES }, (_, n) => `stage${n}`), "complete"];

describe.each<BrowserName>(["chromium", "firefox"])("ten tabs with ten tasks each, in %s", (name) => {
  let script: string;
  let browser: OpenBrowser;
  let server: ServerProcess;
  let url: string;
  let data: ReturnType<typeof makeDataDir>;
  let tabs: Tab[];

  const post = async (path: string, body: object): Promise<void> => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    expect(answer.ok).toBe(true);
  };
  const everyTask = (): readonly string[] => tabs.flatMap(({ ids }) => ids);
  const report = async (body: object): Promise<void> => {
    for (const id of everyTask()) await post(`/tasks/${id}/events`, body);
  };
  const beginStage = async (n: number): Promise<void> =>
    await report({ type: "stage", data: { stage: `stage${n}`, phase: "begin" } });
  const readMetric = async (metric: string): Promise<number> => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(new RegExp(`^holdfast_${metric}\\S* (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
  };
  const openStreams = async (): Promise<number> => await readMetric("streams_open");
  const hear = async ({ page }: Tab): Promise<Heard> => await page.evaluate(() => globalThis.heard);
  const leads = async ({ page }: Tab): Promise<boolean> => await page.evaluate(() => globalThis.leading());
  const leader = async (): Promise<Tab> => {
    for (;;) {
      for (const tab of tabs) if (await leads(tab)) return tab;
    }
  };

  beforeAll(async () => {
    script = await buildPageScript(PAGE_SCRIPT);
    browser = await openBrowser(name);
  });
  afterAll(async () => await browser.close());

  beforeEach(async () => {
    data = makeDataDir();
    ({ server, url } = await ServerProcess.start({ dataDir: data.dataDir, flags: ["--heartbeat=1s"] }));
    const context = await browser.browser.createBrowserContext();
    tabs = [];
    for (let t = 0; t < TABS; t++) {
      const ids = Array.from({ length: TASKS }, (_, n) => `t${t}-${n}`);
      for (const id of ids) await post("/tasks", { id });
      const page = await context.newPage();
      await page.goto(`${url}/healthz`);
      await page.addScriptTag({ content: script });
      tabs.push({ page, ids });
    }
    await Promise.all(
      tabs.map(async ({ page, ids }) => await page.evaluate((all) => globalThis.watchAll(all), ids)),
    );
    await expect
      .poll(async () => (await Promise.all(tabs.map(hear))).flatMap((heard) => Object.values(heard)), WAIT)
      .toEqual(everyTask().map(() => ["connected"]));
  });
  afterEach(async () => {
    await tabs[0]?.page.browserContext().close();
    await server.stop();
    data.remove();
  });

  test("they take one connection, and lose nothing when its tab is closed, crashes or freezes", async () => {
    expect(await openStreams()).toBe(1);
    for (let n = 0; n < STAGES; n++) {
      const trouble = TROUBLES[name][n];
      if (trouble === undefined) {
        await beginStage(n);
        continue;
      }
      const before = await leader();
      const [back] = await Promise.all([trouble(before.page), beginStage(n)]);
      if (back === undefined) tabs = tabs.filter((tab) => tab !== before);
      const others = tabs.filter((tab) => tab !== before);
      await expect
        .poll(async () => (await Promise.all(others.map(leads))).filter(Boolean).length, WAIT)
        .toBe(1);
      await back?.();
      await expect.poll(openStreams, WAIT).toBe(1);
    }
    await report({ type: "complete", data: { result: null } });
    for (const tab of tabs) {
      await expect
        .poll(async () => await hear(tab), WAIT)
        .toEqual(Object.fromEntries(tab.ids.map((id) => [id, whole])));
    }
    await expect.poll(openStreams, WAIT).toBe(0);
    // Some came too late for the first connection, and each new leader makes some; a storm would be hundreds.
    expect(await readMetric("stream_connects_total")).toBeLessThanOrEqual(40);
  });
});
