/** One of our configurations in front of Holdfast, asked by a real browser from Debian. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser } from "puppeteer-core";
import { BROWSER_CASES, type BrowserCase, type BrowserWay } from "./browser-cases.js";
import { makeCertificate } from "./certificate.js";
import { freePort } from "./child.js";
import { closingAll, makeTemporary } from "./closing.js";
import { deploy } from "./deployment.js";
import { openLine } from "./line.js";
import type { RunOutcome } from "./node-run.js";
import { startOrigin } from "./origin.js";
import type { Product } from "./products/product.js";
import type { Outcome } from "./run-cases.js";

export type BrowserName = "chromium" | "firefox";

const PATHS: { readonly [name in BrowserName]: string } = {
  chromium: "/usr/bin/chromium",
  firefox: "/usr/bin/firefox-esr",
};

// Without these Chromium looks for its maker's hosts at every start; without QUIC what is measured is what is written in the matrix.
const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--ignore-certificate-errors",
];
const LARGE_BYTES = 16 * 1_048_576;
const HTTP1_CANNOT = { "7th connection": "a browser opens six connections to a host over HTTP/1.1" };

export async function runByBrowser(name: BrowserName, product: Product, config: string): Promise<RunOutcome> {
  return await closingAll(async (closing) => {
    const certificate = makeCertificate(makeTemporary(closing));
    const origin = await startOrigin("1s");
    closing.push(origin.stop);
    const main = await deploy(product, config, origin.port, certificate);
    closing.push(main.stop);
    const orphan = await deploy(product, config, await freePort(), certificate);
    closing.push(orphan.stop);
    const producer = openLine(origin.url, "1.1");
    closing.push(producer.close);
    const browser = await openBrowser(name);
    closing.push(browser.close);
    const page = await browser.browser.newPage();
    const console: string[] = [];
    page.on("console", (message) => void console.push(message.text()));
    page.on("requestfailed", (request) => void console.push(request.failure()?.errorText ?? ""));
    // No page of ours: its own stream would count among the seven.
    await page.goto(`${main.url}/healthz`);
    const way: BrowserWay = {
      page,
      origin: producer,
      proxy: main.controls,
      orphanUrl: orphan.url,
      largeBytes: LARGE_BYTES,
      console,
    };
    const outcomes: Outcome[] = [];
    for (const one of BROWSER_CASES) outcomes.push(await look(one, way));
    const http = (product.ours[config] ?? []).includes("2") ? "2" : "1.1";
    const cannot = { ...product.cannot, ...(http === "1.1" && HTTP1_CANNOT) };
    return { proxy: product.name, config, client: name, http, outcomes, cannot };
  });
}

async function look({ name, run }: BrowserCase, way: BrowserWay): Promise<Outcome> {
  try {
    return { case: name, ...(await run(way)) };
  } catch (error) {
    return { case: name, ok: false, seen: error instanceof Error ? error.message : String(error) };
  }
}

async function openBrowser(
  name: BrowserName,
): Promise<{ readonly browser: Browser; readonly close: () => Promise<void> }> {
  const userDataDir = mkdtempSync(join(tmpdir(), `holdfast-${name}-`));
  const browser = await puppeteer.launch({
    browser: name === "firefox" ? "firefox" : "chrome",
    executablePath: PATHS[name],
    headless: true,
    acceptInsecureCerts: true,
    // Its viewer of JSON is a page of another origin.
    extraPrefsFirefox: { "devtools.jsonview.enabled": false },
    userDataDir,
    args: name === "chromium" ? CHROMIUM_ARGS : [],
  });
  return {
    browser,
    close: async () => {
      await browser.close();
      rmSync(userDataDir, { recursive: true, force: true });
    },
  };
}
