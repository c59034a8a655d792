/**
 * The same cases in browsers from Debian, against the bundled file: in the page, in a dedicated, a shared and a service worker. Each place has servers of
 * its own, since a browser opens six connections to a host.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBrowser, type BrowserName, type OpenBrowser } from "../harness/browser.js";
import { CASES, type Outcome } from "./run-cases.js";
import { bundleSuite } from "./suite-bundle.js";
import type { SuiteAnswer } from "./suite-entry.js";
import { tally } from "./tally.js";
import { startWptServer, type WptServer } from "./wpt-server.js";

const PAGE = "<!doctype html><meta charset=utf-8><title>cases</title>";

/** Scripts for the page; each gives the outcomes. */
const PLACES: { readonly [place: string]: (elsewhere: string) => string } = {
  page: (elsewhere) => `
    new Promise((loaded, failed) => {
      const script = Object.assign(document.createElement("script"), { src: "suite.js", onload: loaded, onerror: failed });
      document.head.append(script);
    }).then(() => runSuite(${JSON.stringify(elsewhere)}, true))`,
  "dedicated worker": (elsewhere) => `
    new Promise((resolve, reject) => {
      const worker = new Worker("worker.js");
      Object.assign(worker, { onmessage: ({ data }) => resolve(data), onerror: reject });
      worker.postMessage(${JSON.stringify(elsewhere)});
    })`,
  "shared worker": (elsewhere) => `
    new Promise((resolve, reject) => {
      const worker = new SharedWorker("worker.js");
      worker.onerror = reject;
      worker.port.onmessage = ({ data }) => resolve(data);
      worker.port.postMessage(${JSON.stringify(elsewhere)});
    })`,
  "service worker": (elsewhere) => `
    navigator.serviceWorker.register("worker.js").then(() => navigator.serviceWorker.ready).then(({ active }) =>
      new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = ({ data }) => resolve(data);
        active.postMessage(${JSON.stringify(elsewhere)}, [port2]);
      }))`,
};

const WORKER = `
  const answer = (port) => (port.onmessage = (event) => {
    const work = runSuite(event.data, true).then((outcomes) => (event.ports[0] ?? port).postMessage(outcomes));
    // A service worker would be stopped before it has answered.
    event.waitUntil?.(work);
  });
  self.onconnect = ({ ports }) => answer(ports[0]);
  answer(self);`;

/** What the browsers' own classes do not pass, there as in WPT itself: Chromium heeds the charset, both ask too little beforehand. */
const UNASKED = ["long", "unsafe"].map(
  (id) => `eventsource-cross-origin-preflight.window.js: ${id} last-event-id`,
);
const NATIVE_FAILS: { readonly [name in BrowserName]: string[] } = {
  chromium: [...UNASKED, "format-utf-8.any.js"],
  firefox: UNASKED,
};

let suite: string;
const servers: WptServer[] = [];

async function start(): Promise<WptServer> {
  const server = await startWptServer({
    "/eventsource/index.html": ["text/html", PAGE],
    "/eventsource/suite.js": ["text/javascript", suite],
    "/eventsource/worker.js": ["text/javascript", `${suite};${WORKER}`],
  });
  servers.push(server);
  return server;
}

beforeAll(async () => {
  suite = await bundleSuite();
});
afterAll(async () => await Promise.all(servers.map(async (server) => await server.stop())));

describe.each<BrowserName>(["chromium", "firefox"])("in %s", (name) => {
  let browser: OpenBrowser;
  beforeAll(async () => {
    browser = await openBrowser(name);
  });
  afterAll(async () => await browser.close());

  test.concurrent("every case is as it must be, in each place", async () => {
    const tallies = await Promise.all(
      Object.entries(PLACES).map(async ([place, script]) => {
        const [here, there] = await Promise.all([start(), start()]);
        const page = await browser.browser.newPage();
        await page.goto(`${here.base}index.html`);
        const { outcomes, stable } = (await page.evaluate(script(there.base))) as SuiteAnswer;
        await page.close();
        return [tally(`${name}, ${place}`, outcomes), stable];
      }),
    );
    expect(tallies).toEqual(
      Object.keys(PLACES).map(() => [{ asked: CASES.length, wrong: [] }, ["ok", "data"]]),
    );
  });

  test.concurrent("the browser's own class passes the same cases, save what is beyond a script", async () => {
    const [here, there] = await Promise.all([start(), start()]);
    const page = await browser.browser.newPage();
    await page.goto(`${here.base}index.html`);
    await page.addScriptTag({ url: "suite.js" });
    const outcomes = (await page.evaluate(`runNative(${JSON.stringify(there.base)})`)) as readonly Outcome[];
    await page.close();
    const unlike = outcomes.filter(({ beyond, problem }) => (problem === null) === beyond);
    expect(unlike.map(({ name: failed }) => failed)).toEqual(expect.arrayContaining(NATIVE_FAILS[name]));
    expect(unlike).toHaveLength(NATIVE_FAILS[name].length);
  });

  // eventsource-request-cancellation.any.window.js, in a page of its own since it stops every load. Beyond a script: the broken load looks like a
  // broken network, so the source is not closed, as WPT has it, but tries again.
  test.concurrent("a source whose loads the page stops hears of it, and tries again", async () => {
    const here = await start();
    const page = await browser.browser.newPage();
    await page.goto(`${here.base}index.html`);
    await page.addScriptTag({ url: "suite.js" });
    const readyState = await page.evaluate(
      async () =>
        await new Promise<number>((resolve) => {
          const source = new EventSource("resources/message.py?sleep=10000");
          source.addEventListener("error", () => resolve(source.readyState));
          setTimeout(() => window.stop(), 100);
        }),
    );
    await page.close();
    expect(readyState).toBe(0);
  });
});
