/**
 * The page in Chromium over HTTP/2: its streams, its uploads, and what its console says when a server goes away, by its own will or not.
 */
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ElementHandle, HTTPRequest, Page } from "puppeteer-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openBrowser, type OpenBrowser } from "../harness/browser.js";
import { runCommand } from "../harness/command-run.js";
import { makeSelfSigned } from "../harness/self-signed.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const WAIT = { timeout: 30_000 };
const FLAGS = [
  "--http=2",
  "--heartbeat=1s",
  "--drain-window=500ms",
  "--min-free-disk=0B",
  "--log-level=error",
];

let browser: OpenBrowser;
let page: Page;
let server: ServerProcess;
let url: string;
let flags: readonly string[];
let data: ReturnType<typeof makeDataDir>;
/** Of the console and of requests that failed. */
let errors: string[];

beforeAll(async () => {
  browser = await openBrowser("chromium", ["--ignore-certificate-errors"]);
});
afterAll(async () => await browser.close());

async function start(port = 0, more: readonly string[] = []): Promise<void> {
  ({ server, url } = await ServerProcess.start({
    dataDir: join(data.dataDir, "data"),
    port,
    flags: [...flags, ...more],
  }));
}

beforeEach(async () => {
  data = makeDataDir();
  const { flags: tls } = await makeSelfSigned(data.dataDir);
  flags = [...FLAGS, ...tls];
  errors = [];
  page = await (await browser.browser.createBrowserContext()).newPage();
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  page.on("requestfailed", (request: HTTPRequest) => {
    const text = request.failure()?.errorText ?? "";
    // What the page let go of itself: a stream that has said `drain`.
    if (text !== "net::ERR_ABORTED") errors.push(text);
  });
});
afterEach(async () => {
  await page.browserContext().close();
  await server.kill();
  data.remove();
});

async function connection(): Promise<string | null> {
  return await page.$eval('[data-testid="connection"]', (pill) => pill.getAttribute("data-state"));
}

/** Choosing a file starts it. */
async function choose(path: string): Promise<void> {
  const input = (await page.waitForSelector('[data-testid="file-input"]')) as ElementHandle<HTMLInputElement>;
  await input.uploadFile(path);
}

async function firstRow(name: string): Promise<string> {
  return await page.$$eval(
    '[data-testid="row"]',
    (rows, attribute) => rows[0]?.getAttribute(attribute) ?? "",
    `data-${name}`,
  );
}

async function protocols(): Promise<readonly string[]> {
  return await page.evaluate(() =>
    (performance.getEntries() as PerformanceResourceTiming[])
      .map(({ nextHopProtocol }) => nextHopProtocol)
      .filter((name) => name !== undefined && name !== ""),
  );
}

async function hashOf(id: string): Promise<string> {
  const path = join(data.dataDir, "content");
  await runCommand("curl", ["-sSk", "-o", path, `${url}/api/v1/uploads/${id}/content`]);
  return (await runCommand("sha256sum", [path])).stdout.slice(0, 64);
}

test("streams end of age, servers drain, die and come back: an upload goes on, and no stream breaks by HTTP/2's word", async () => {
  // A stream ends every second: whatever is unclean about that would be in the console many times over.
  const short = ["--max-stream-age=2s"];
  await start(0, short);
  const port = Number(new URL(url).port);
  await page.goto(url);
  await expect.poll(connection, WAIT).toBe("live");
  expect(new Set(await protocols())).toEqual(new Set(["h2"]));

  const bytes = randomBytes(200_000_000);
  const path = join(data.dataDir, "big.bin");
  writeFileSync(path, bytes);
  await choose(path);
  await expect
    .poll(async () => Number(await firstRow("uploaded")), { ...WAIT, interval: 5 })
    .toBeGreaterThan(1_000_000);
  await server.kill();
  await expect.poll(connection, WAIT).not.toBe("live");
  await start(port, short);
  await expect.poll(connection, WAIT).toBe("live");
  const drained = await server.stop();
  expect([drained.code, drained.signal]).toEqual([0, null]);
  await start(port, short);
  await expect.poll(async () => await firstRow("status"), { timeout: 60_000 }).toBe("completed");
  await expect.poll(connection, WAIT).toBe("live");
  expect(await hashOf(await firstRow("task-id"))).toBe(createHash("sha256").update(bytes).digest("hex"));
  // A server that is gone refuses connections, and says so; it is never the protocol that broke.
  expect(errors.filter((text) => /HTTP2|PROTOCOL/.test(text))).toEqual([]);
});

test("in ordinary operation the console says nothing, though every stream ends within two seconds", async () => {
  await start(0, ["--max-stream-age=1500ms"]);
  await page.goto(url);
  await expect.poll(connection, WAIT).toBe("live");
  const opened = async (): Promise<number> => {
    const metrics = (await runCommand("curl", ["-sSk", `${url}/metrics`])).stdout;
    return Number(/^holdfast_stream_connects_total (\d+)/m.exec(metrics)?.[1] ?? 0);
  };
  await page.evaluate(() => void new EventSource("/api/v1/stream?task=none"));
  await expect.poll(opened, { timeout: 20_000 }).toBeGreaterThan(4);
  expect(errors).toEqual([]);
});

test("ten streams of one page leave its other requests alone", async () => {
  await start();
  await page.goto(url);
  await page.evaluate(async (count) => {
    await fetch("/api/v1/tasks", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"id":"job"}',
    });
    const opened = Array.from({ length: count }, async () => {
      const source = new EventSource("/api/v1/tasks/job/stream");
      await new Promise((resolve) => source.addEventListener("connected", resolve, { once: true }));
    });
    await Promise.all(opened);
    // Over HTTP/1.1 this would wait for ever: a browser opens six connections a host.
    await fetch("/api/v1/tasks/job");
  }, 10);
  expect(errors).toEqual([]);
});

test("with sse-http1 streams go over HTTP/1.1 without an error, and so, from then on, does the host", async () => {
  await start(0, ["--sse-http1"]);
  await page.goto(url);
  await expect.poll(connection, WAIT).toBe("live");
  const after = await page.evaluate(async () => {
    await (await fetch("/healthz?after")).text();
    const [entry] = performance.getEntriesByName(
      `${location.origin}/healthz?after`,
    ) as PerformanceResourceTiming[];
    return entry?.nextHopProtocol;
  });
  expect(after).toBe("http/1.1");
  expect(errors).toEqual([]);
});
