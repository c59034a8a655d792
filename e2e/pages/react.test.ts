/**
 * The React hooks in real React, in a real browser, against a server that runs.
 */
import type { Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openBrowser, type OpenBrowser } from "../harness/browser.js";
import { buildPageScript } from "../harness/page-script.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const WAIT = { timeout: 30_000, interval: 50 };

const PAGE_SCRIPT = `
import { createElement as h, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { HoldfastProvider, useConnection, useTask, useUpload } from "@holdfast/client/react";
import { createSharedStreams } from "@holdfast/client/shared";
import { upload } from "@holdfast/client/upload";

const Row = ({ id }) => {
  const { task, ending } = useTask(id);
  return h("p", { className: "row" }, task?.status ?? "-", " ", ending?.type ?? "-");
};
const Link = ({ id }) => h("p", { id: "link" }, useConnection(id)?.state ?? "-");
const Sending = ({ handle }) => {
  const { state, sent, stored, total, task } = useUpload(handle);
  return h("p", { id: "upload" }, [state, sent, stored, total, task?.status].join(" "));
};
const root = createRoot(document.body.appendChild(document.createElement("div")));
const render = (...children) => root.render(h(StrictMode, null, ...children));
globalThis.show = (ids) => render(...ids.map((id, n) => h(Row, { key: n, id })), ids[0] && h(Link, { key: "link", id: ids[0] }));
globalThis.share = (ids) => {
  const watcher = createSharedStreams();
  render(h(HoldfastProvider, { watcher }, ...ids.map((id, n) => h(Row, { key: n, id }))));
};
globalThis.send = (bytes) => {
  const handle = upload(new File([new Uint8Array(bytes)], "a.bin"), { chunkSize: 1_000_000 });
  render(h(Sending, { handle }));
};
`;

declare global {
  var show: (ids: readonly string[]) => void;
  var share: (ids: readonly string[]) => void;
  var send: (bytes: number) => void;
}

let script: string;
let browser: OpenBrowser;
let page: Page;
let server: ServerProcess;
let url: string;
let data: ReturnType<typeof makeDataDir>;
const problems: string[] = [];

beforeAll(async () => {
  script = await buildPageScript(PAGE_SCRIPT);
  browser = await openBrowser("chromium");
});
afterAll(async () => await browser.close());
beforeEach(async () => {
  data = makeDataDir();
  ({ server, url } = await ServerProcess.start({ dataDir: data.dataDir }));
  for (const id of ["a", "b"]) await post("/tasks", { id });
  page = await (await browser.browser.createBrowserContext()).newPage();
  problems.length = 0;
  page.on("pageerror", (error) => void problems.push(String(error)));
  page.on("console", (line) => {
    // The browser's own wish, where there is no page of ours.
    const favicon = line.location().url?.endsWith("/favicon.ico") === true;
    if (line.type() === "error" && !favicon) problems.push(line.text());
  });
  await page.goto(`${url}/healthz`);
  await page.addScriptTag({ content: script });
});
afterEach(async () => {
  expect(problems).toEqual([]);
  await page.browserContext().close();
  await server.stop();
  data.remove();
});

async function post(path: string, body: object): Promise<void> {
  const answer = await fetch(`${url}/api/v1${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  expect(answer.ok).toBe(true);
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^holdfast_${name}\\S* (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
}

const rows = async (): Promise<string[]> =>
  await page.$$eval(".row", (all) => all.map(({ textContent }) => textContent));

test("components on one task share one stream, also when StrictMode mounts them twice, and leave nothing open", async () => {
  await page.evaluate(() => globalThis.show(["a", "a", "a"]));
  await expect.poll(rows, WAIT).toEqual(["pending -", "pending -", "pending -"]);
  expect(await page.$eval("#link", ({ textContent }) => textContent)).toBe("open");
  expect(await metric("streams_open")).toBe(1);
  await page.evaluate(() => globalThis.show(["b", "a"]));
  await expect.poll(rows, WAIT).toEqual(["pending -", "pending -"]);
  await expect.poll(async () => await metric("streams_open"), WAIT).toBe(2);
  // One for a, kept by who still looks at it, and one for b.
  expect(await metric("stream_connects_total")).toBe(2);
  await post("/tasks/a/events", { type: "complete", data: {} });
  await expect.poll(rows, WAIT).toEqual(["pending -", "completed complete"]);
  await page.evaluate(() => globalThis.show([]));
  await expect.poll(async () => await metric("streams_open"), WAIT).toBe(0);
});

test("below a provider of shared streams every task comes over one connection", async () => {
  await page.evaluate(() => globalThis.share(["a", "b", "a"]));
  await expect.poll(rows, WAIT).toEqual(["pending -", "pending -", "pending -"]);
  expect(await metric("streams_open")).toBe(1);
  await post("/tasks/b/events", { type: "complete", data: {} });
  await expect.poll(rows, WAIT).toEqual(["pending -", "completed complete", "pending -"]);
});

test("an upload shows what was sent, what is stored and its task", async () => {
  await page.evaluate(() => globalThis.send(5_000_000));
  await expect
    .poll(async () => await page.$eval("#upload", ({ textContent }) => textContent), WAIT)
    .toBe("done 5000000 5000000 5000000 completed");
});
