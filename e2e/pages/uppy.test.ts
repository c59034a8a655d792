/**
 * The plugin for Uppy with real Uppy in a real browser, against a server that runs, through a proxy that takes bytes in faster than it hands
 * them on.
 */
import type { Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openBrowser, type OpenBrowser } from "../harness/browser.js";
import { EarlyProxy } from "../harness/early-proxy.js";
import { buildPageScript } from "../harness/page-script.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const WAIT = { timeout: 30_000, interval: 20 };
const SIZE = 5_000_000;
const FIRST = 1_000_000;

const PAGE_SCRIPT = `
import { HoldfastProgress } from "@holdfast/client/uppy";
import Uppy from "@uppy/core";
import Tus from "@uppy/tus";

globalThis.sent = 0;
const uppy = new Uppy({ meta: { processing: "external" } })
  .use(Tus, {
    endpoint: "/api/v1/uploads",
    allowedMetaFields: ["name", "processing"],
    onProgress: (bytes) => (globalThis.sent = bytes),
  })
  .use(HoldfastProgress);
uppy.addFile({ name: "film.mov", data: new File([new Uint8Array(${SIZE})], "film.mov") });
const told = ({ successful, failed }) => ({ successful: successful.length, failed: failed.map(({ error }) => error) });
globalThis.start = () => {
  globalThis.outcome = uppy.upload().then(told);
};
globalThis.again = () => {
  globalThis.outcome = uppy.retryAll().then(told);
};
globalThis.look = () => {
  const [file] = uppy.getFiles();
  const { tasks } = uppy.getPlugin("HoldfastProgress").getPluginState();
  return { sent, total: uppy.getState().totalProgress, url: file.uploadURL, task: tasks[file.id], ...file.progress };
};
globalThis.removeFile = () => uppy.removeFile(uppy.getFiles()[0].id);
`;

interface Look {
  readonly sent: number;
  readonly total: number;
  readonly url?: string;
  readonly task?: unknown;
  readonly bytesUploaded: number;
  readonly percentage: number;
  readonly uploadComplete: boolean;
  readonly complete?: boolean;
  readonly postprocess?: unknown;
}

declare global {
  var start: () => void;
  var again: () => void;
  var removeFile: () => void;
  var look: () => Look;
  var outcome: Promise<unknown>;
}

let script: string;
let browser: OpenBrowser;
let page: Page;
let server: ServerProcess;
let url: string;
let proxy: EarlyProxy;
let data: ReturnType<typeof makeDataDir>;

beforeAll(async () => {
  script = await buildPageScript(PAGE_SCRIPT);
  browser = await openBrowser("chromium");
});
afterAll(async () => await browser.close());
beforeEach(async () => {
  data = makeDataDir();
  ({ server, url } = await ServerProcess.start({
    dataDir: data.dataDir,
    flags: ["--progress-interval=50ms"],
  }));
  proxy = await EarlyProxy.start(url, FIRST);
  page = await (await browser.browser.createBrowserContext()).newPage();
  await page.goto(`${proxy.url}/healthz`);
  await page.addScriptTag({ content: script });
  await page.evaluate(() => globalThis.start());
});
afterEach(async () => {
  await page.browserContext().close();
  await proxy.stop();
  await server.stop();
  data.remove();
});

const look = async (): Promise<Look> => await page.evaluate(() => globalThis.look());
const outcome = async (): Promise<unknown> => await page.evaluate(async () => await globalThis.outcome);

async function openStreams(): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^holdfast_streams_open (\d+)/m.exec(text)?.[1] ?? Number.NaN);
}

async function report(body: object): Promise<void> {
  const id = new URL((await look()).url ?? "", url).pathname.split("/").at(-1) ?? "";
  const answer = await fetch(`${url}/api/v1/tasks/${id}/events`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
}

test("the bar shows what the server has stored, then the producer's stage, to the ending", async () => {
  await expect
    .poll(look, WAIT)
    .toMatchObject({ sent: SIZE, bytesUploaded: FIRST, percentage: 20, total: 20 });
  proxy.release();
  await expect.poll(look, WAIT).toMatchObject({ uploadComplete: true, bytesUploaded: SIZE });
  expect((await look()).complete).not.toBe(true);
  await report({ type: "stage", data: { stage: "encode", phase: "begin" } });
  await expect
    .poll(async () => (await look()).postprocess, WAIT)
    .toEqual({ mode: "indeterminate", message: "encode" });
  await report({ type: "complete", data: { result: { film: "/film.mp4" } } });
  expect(await outcome()).toEqual({ successful: 1, failed: [] });
  expect(await look()).toMatchObject({
    complete: true,
    percentage: 100,
    task: { status: "completed", result: { film: "/film.mp4" } },
  });
  await expect.poll(openStreams, WAIT).toBe(0);
});

test("a task that fails is a failed file, and a retry begins anew", async () => {
  proxy.release();
  await expect.poll(look, WAIT).toMatchObject({ uploadComplete: true });
  const first = (await look()).url;
  await report({ type: "fail", data: { code: "BAD_CODEC", message: "no such codec" } });
  expect(await outcome()).toEqual({ successful: 0, failed: ["no such codec"] });
  await page.evaluate(() => globalThis.again());
  await expect
    .poll(async () => {
      const { url: second, uploadComplete } = await look();
      return uploadComplete && second !== first;
    }, WAIT)
    .toBe(true);
  await report({ type: "complete", data: {} });
  expect(await outcome()).toEqual({ successful: 1, failed: [] });
});

test("a file that is removed while it is processed takes its watch with it", async () => {
  proxy.release();
  await expect.poll(look, WAIT).toMatchObject({ uploadComplete: true });
  await expect.poll(openStreams, WAIT).toBe(1);
  await page.evaluate(() => globalThis.removeFile());
  await expect.poll(openStreams, WAIT).toBe(0);
});
