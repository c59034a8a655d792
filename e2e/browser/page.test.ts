/**
 * The page in real browsers, against a server that runs: what a person does, and what must be true while they do it.
 * Screenshots go to e2e/screenshots/ when E2E_SCREENSHOTS=1.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Task } from "@holdfast/client";
import type { ElementHandle, Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openBrowser, type BrowserName, type OpenBrowser } from "../harness/browser.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const WAIT = { timeout: 30_000 };

const files = mkdtempSync(join(tmpdir(), "holdfast-files-"));
afterAll(() => rmSync(files, { recursive: true, force: true }));

function makeFile(name: string, size: number): { path: string; hash: string } {
  const bytes = randomBytes(size);
  const path = join(files, name);
  writeFileSync(path, bytes);
  return { path, hash: createHash("sha256").update(bytes).digest("hex") };
}

async function choose(page: Page, ...paths: string[]): Promise<void> {
  const input = (await page.waitForSelector('[data-testid="file-input"]')) as ElementHandle<HTMLInputElement>;
  await input.uploadFile(...paths);
}

async function rows(page: Page): Promise<{ id: string; status: string; uploaded: number }[]> {
  return await page.$$eval('[data-testid="row"]', (all) =>
    all.map((row) => ({
      id: row.getAttribute("data-task-id") ?? "",
      status: row.getAttribute("data-status") ?? "",
      uploaded: Number(row.getAttribute("data-uploaded") ?? 0),
    })),
  );
}

/** Pauses the first upload that has bytes stored, within the page: from outside, a fast loopback would have it whole before. */
async function pauseOnceMoving(page: Page): Promise<void> {
  await page.evaluate(
    async () =>
      await new Promise<void>((resolve) => {
        const timer = setInterval(() => {
          for (const row of document.querySelectorAll<HTMLElement>('[data-testid="row"]')) {
            const pause = row.querySelector<HTMLElement>('[data-testid="action-pause"]');
            if (pause === null || Number(row.dataset["uploaded"]) === 0) continue;
            clearInterval(timer);
            pause.click();
            resolve();
            return;
          }
        }, 5);
      }),
  );
}

async function connection(page: Page): Promise<string | null> {
  return await page.$eval('[data-testid="connection"]', (pill) => pill.getAttribute("data-state"));
}

async function openStreams(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^holdfast_\w*streams_open\w* (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}

async function screenshot(page: Page, name: string): Promise<void> {
  if (process.env["E2E_SCREENSHOTS"] !== "1") return;
  const directory = fileURLToPath(new URL("../screenshots/", import.meta.url));
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: `${directory}${name}.png` });
}

describe.each<BrowserName>(["chromium", "firefox"])("in %s", (name) => {
  let browser: OpenBrowser;
  let page: Page;
  let server: ServerProcess;
  let url: string;
  let data: ReturnType<typeof makeDataDir>;
  const problems: string[] = [];

  beforeAll(async () => {
    browser = await openBrowser(name);
  });
  afterAll(async () => await browser.close());
  beforeEach(async () => {
    data = makeDataDir();
    ({ server, url } = await ServerProcess.start({
      dataDir: data.dataDir,
      flags: ["--heartbeat=1s", "--drain-window=500ms"],
    }));
    const context = await browser.browser.createBrowserContext();
    page = await context.newPage();
    problems.length = 0;
    page.on("pageerror", (error) => void problems.push(String(error)));
    await page.goto(url);
    await expect.poll(async () => await connection(page), WAIT).toBe("live");
  });
  afterEach(async () => {
    expect(problems).toEqual([]);
    await page.browserContext().close();
    await server.stop();
    data.remove();
  });

  test("files that are chosen arrive whole, each with its bar, over one stream", async () => {
    const chosen = [
      makeFile("a.bin", 30_000_000),
      makeFile("b.bin", 9_000_000),
      makeFile("c.bin", 0),
      makeFile("d.bin", 700),
      makeFile("名.txt", 5_000_000),
    ];
    await choose(page, ...chosen.map(({ path }) => path));
    expect(await openStreams(url)).toBe(1);
    await expect
      .poll(async () => (await rows(page)).map(({ status }) => status), WAIT)
      .toEqual(chosen.map(() => "completed"));
    await screenshot(page, `${name}-completed`);
    expect(await openStreams(url)).toBe(1);
    const hashes = await Promise.all(
      (await rows(page)).map(async ({ id }) => {
        const content = await fetch(`${url}/api/v1/uploads/${id}/content`);
        return createHash("sha256")
          .update(new Uint8Array(await content.arrayBuffer()))
          .digest("hex");
      }),
    );
    expect(hashes.toSorted()).toEqual(chosen.map(({ hash }) => hash).toSorted());
  });

  test("a second tab shows the same over the same stream, and goes on with it when the first is closed", async () => {
    const second = await page.browserContext().newPage();
    await second.goto(url);
    await expect.poll(async () => await connection(second), WAIT).toBe("live");
    await choose(page, makeFile("shared.bin", 1_000_000).path);
    const statuses = async (): Promise<string[]> => (await rows(second)).map(({ status }) => status);
    await expect.poll(statuses, WAIT).toEqual(["completed"]);
    expect(await openStreams(url)).toBe(1);
    const first = page;
    page = second;
    await first.close();
    await choose(second, makeFile("after.bin", 1_000_000).path);
    await expect.poll(statuses, WAIT).toEqual(["completed", "completed"]);
    expect(await openStreams(url)).toBe(1);
  });

  test("after a reload the truth is there, and an unfinished file goes on where it was", async () => {
    const done = makeFile("done.bin", 1_000_000);
    await choose(page, done.path);
    await expect.poll(async () => (await rows(page))[0]?.status, WAIT).toBe("completed");
    const big = makeFile("big.bin", 400_000_000);
    const paused = pauseOnceMoving(page);
    await choose(page, big.path);
    await paused;
    await page.reload();
    await expect.poll(async () => (await rows(page)).length, WAIT).toBe(2);
    // The page waits until nobody is seen to send it any more; then it asks for the file.
    await expect
      .poll(async () => (await rows(page)).some(({ status }) => status === "needs-file"), WAIT)
      .toBe(true);
    const left = (await rows(page)).find(({ status }) => status === "needs-file");
    expect(left?.uploaded).toBeGreaterThan(0);
    await screenshot(page, `${name}-reloaded`);
    await choose(page, big.path);
    await expect
      .poll(async () => (await rows(page)).map(({ status }) => status), { timeout: 60_000 })
      .toEqual(["completed", "completed"]);
    expect((await rows(page)).map(({ id }) => id)).toContain(left?.id);
    const task = (await (await fetch(`${url}/api/v1/uploads/${left?.id ?? ""}`)).json()) as Task;
    expect(task.uploaded).toBe(400_000_000);
    const content = await fetch(`${url}/api/v1/uploads/${left?.id ?? ""}/content`);
    expect(
      createHash("sha256")
        .update(new Uint8Array(await content.arrayBuffer()))
        .digest("hex"),
    ).toBe(big.hash);
  });

  test("when the server is killed the page says so, and after the restart everything goes on", async () => {
    const big = makeFile("kill.bin", 300_000_000);
    await choose(page, big.path);
    await expect
      .poll(async () => (await rows(page))[0]?.uploaded ?? 0, { ...WAIT, interval: 5 })
      .toBeGreaterThan(1_000_000);
    const { port } = new URL(url);
    await server.kill();
    await expect.poll(async () => await connection(page), WAIT).not.toBe("live");
    await screenshot(page, `${name}-reconnecting`);
    ({ server } = await ServerProcess.start({
      dataDir: data.dataDir,
      port: Number(port),
      flags: ["--heartbeat=1s", "--drain-window=500ms"],
    }));
    await expect.poll(async () => await connection(page), { timeout: 40_000 }).toBe("live");
    await expect.poll(async () => (await rows(page))[0]?.status, { timeout: 60_000 }).toBe("completed");
    const id = (await rows(page))[0]?.id ?? "";
    const content = await fetch(`${url}/api/v1/uploads/${id}/content`);
    expect(
      createHash("sha256")
        .update(new Uint8Array(await content.arrayBuffer()))
        .digest("hex"),
    ).toBe(big.hash);
  });

  test("a plain EventSource hears the ending of a task", async () => {
    await fetch(`${url}/api/v1/tasks`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ id: "job", total: 3 }),
    });
    const heard = page.evaluate(
      async () =>
        await new Promise<string[]>((resolve) => {
          const names: string[] = [];
          const source = new EventSource("/api/v1/tasks/job/stream");
          for (const event of ["connected", "status", "complete"]) {
            source.addEventListener(event, () => {
              names.push(event);
              if (event === "connected") document.documentElement.dataset["heard"] = "connected";
              if (event === "complete") resolve(names);
            });
          }
        }),
    );
    await page.waitForSelector('html[data-heard="connected"]');
    await fetch(`${url}/api/v1/tasks/job/events`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ type: "complete", data: { result: 1 } }),
    });
    expect(await heard).toEqual(["connected", "status", "complete"]);
  });

  test("it speaks Chinese, and is dark, when asked", async () => {
    const lang = async (): Promise<string> => await page.evaluate(() => document.documentElement.lang);
    const before = await lang();
    await page.click('[data-testid="language-toggle"]');
    await expect.poll(lang, WAIT).not.toBe(before);
    const background = async (): Promise<string> =>
      await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const seen = new Set([await background()]);
    for (let i = 0; i < 3; i += 1) {
      await page.click('[data-testid="theme-toggle"]');
      seen.add(await background());
    }
    expect(seen.size).toBeGreaterThan(1);
    await screenshot(page, `${name}-other`);
  });
});
