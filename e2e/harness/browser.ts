/**
 * Chromium and Firefox from Debian, driven over their own protocols; no browser is downloaded.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser } from "puppeteer-core";

export type BrowserName = "chromium" | "firefox";

const PATHS: { readonly [name in BrowserName]: string } = {
  chromium: "/usr/bin/chromium",
  firefox: "/usr/bin/firefox-esr",
};

// Without these Chromium looks for its maker's hosts at every start.
const CHROMIUM_ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export interface OpenBrowser {
  readonly browser: Browser;
  close(): Promise<void>;
}

export async function openBrowser(
  name: BrowserName,
  chromiumArgs: readonly string[] = [],
): Promise<OpenBrowser> {
  const executablePath = PATHS[name];
  if (!existsSync(executablePath)) throw new Error(`${executablePath} is missing: apt-get install ${name}`);
  const userDataDir = mkdtempSync(join(tmpdir(), `holdfast-${name}-`));
  const browser = await puppeteer.launch({
    browser: name === "firefox" ? "firefox" : "chrome",
    executablePath,
    headless: true,
    userDataDir,
    args: name === "chromium" ? [...CHROMIUM_ARGS, ...chromiumArgs] : [],
  });
  return {
    browser,
    close: async () => {
      await browser.close();
      rmSync(userDataDir, { recursive: true, force: true });
    },
  };
}
