/**
 * The same cases in browsers from Debian, against the bundled file: in the page, in a dedicated and in a shared worker. Each place has servers of
 * its own, since a browser opens six connections to a host.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBrowser, type BrowserName, type OpenBrowser } from "../harness/browser.js";
import { CASES, type Outcome } from "./run-cases.js";
import { bundleSuite } from "./suite-bundle.js";
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
};

const WORKER = `
  const answer = (port) => (port.onmessage = async ({ data }) => port.postMessage(await runSuite(data, true)));
  self.onconnect = ({ ports }) => answer(ports[0]);
  answer(self);`;

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

  test("every case is as it must be, in each place", async () => {
    const tallies = await Promise.all(
      Object.entries(PLACES).map(async ([place, script]) => {
        const [here, there] = await Promise.all([start(), start()]);
        const page = await browser.browser.newPage();
        await page.goto(`${here.base}index.html`);
        const outcomes = (await page.evaluate(script(there.base))) as readonly Outcome[];
        await page.close();
        return tally(`${name}, ${place}`, outcomes);
      }),
    );
    expect(tallies).toEqual(Object.keys(PLACES).map(() => ({ asked: CASES.length, wrong: [] })));
  });

  // eventsource-request-cancellation.any.window.js, in a page of its own since it stops every load. Beyond a script: the broken load looks like a
  // broken network, so the source is not closed, as WPT has it, but tries again.
  test("a source whose loads the page stops hears of it, and tries again", async () => {
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
