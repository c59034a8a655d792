/**
 * web-platform-tests/eventsource, re-expressed, against the strict class in Node: in the main thread, and bundled in a worker thread.
 */
import { Worker } from "node:worker_threads";
import { EventSource } from "@holdfast/client/eventsource";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CASES, runCases } from "./run-cases.js";
import { bundleSuite } from "./suite-bundle.js";
import type { SuiteAnswer } from "./suite-entry.js";
import { tally } from "./tally.js";
import { startWptServer, type WptServer } from "./wpt-server.js";

let here: WptServer;
let there: WptServer;
const outsideBrowsers = CASES.filter(({ browserOnly }) => browserOnly !== true).length;

beforeAll(async () => {
  [here, there] = await Promise.all([startWptServer(), startWptServer()]);
});
afterAll(async () => await Promise.all([here.stop(), there.stop()]));

test("in Node every case is as it must be", async () => {
  for (const [name, value] of [
    ["location", new URL(`${here.base}index.html`)],
    ["EventSource", EventSource],
  ] as const) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
  }
  const outcomes = await runCases({ EventSource, elsewhere: there.base }, false);
  expect(tally("Node", outcomes)).toEqual({ asked: outsideBrowsers, wrong: [] });
});

test("in a worker thread of Node every case is as it must be, from the bundled file", async () => {
  const script = `
    const { parentPort, workerData } = require("node:worker_threads");
    globalThis.location = new URL(workerData.page);
    (0, eval)(workerData.bundle);
    runSuite(workerData.elsewhere, false).then((answer) => parentPort.postMessage(answer));
  `;
  const worker = new Worker(script, {
    eval: true,
    workerData: { page: `${here.base}index.html`, bundle: await bundleSuite(), elsewhere: there.base },
  });
  const { outcomes, stable } = await new Promise<SuiteAnswer>((resolve, reject) => {
    worker.once("message", resolve).once("error", reject);
  });
  await worker.terminate();
  expect(tally("Node, worker thread", outcomes)).toEqual({ asked: outsideBrowsers, wrong: [] });
  expect(stable).toEqual(["ok", "data"]);
});
