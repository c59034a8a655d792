/**
 * Each proxy with our configuration keeps every promise; with the shortest one it is recorded what happens.
 *
 * The short form runs what is named in SHORT, without the minute of silence. The whole one keeps its result and makes docs/proxies.md.
 */
import { execFileSync } from "node:child_process";
import { afterAll, expect, test } from "vitest";
import { runByBrowser, type BrowserName } from "./browser-run.js";
import { CASES } from "./cases.js";
import { STANDARD } from "./deployment.js";
import { keepResult, readNewestResult, toResult } from "./matrix-page.js";
import { DIRECT, runByNode, runDirect, type RunOutcome } from "./node-run.js";
import { PRODUCTS } from "./products.js";
import type { Product } from "./products/product.js";

const whole = process.env["HOLDFAST_WHOLE"] === "1";
// HOLDFAST_PROXIES="nginx,caddy" takes these alone; in the whole form they take the place of their rows in the newest result.
const chosen = process.env["HOLDFAST_PROXIES"]?.split(",");
const BROWSERS: readonly BrowserName[] = ["chromium", "firefox"];
const CLIENTS: readonly RunOutcome["client"][] = ["node", ...BROWSERS];
const SHORT = ["nginx", "apache", "haproxy"];

const products = PRODUCTS.filter(
  ({ name }) => (chosen ?? (whole ? undefined : SHORT))?.includes(name) ?? true,
);
const runs: RunOutcome[] = [];

test.concurrent("without a proxy, every promise is kept", async () => {
  const outcomes = await runDirect({ whole });
  runs.push(...outcomes);
  expect(broken(outcomes)).toEqual([]);
});

test.concurrent.each(ours())(
  "$product.name configured as $config keeps every promise",
  async ({ product, config }) => {
    const outcomes = await runByNode(product, config, { whole });
    runs.push(...outcomes);
    expect(broken(outcomes)).toEqual([]);
  },
);

test.concurrent.each(whole ? products.map((product) => ({ product })) : [])(
  "$product.name in its shortest configuration is seen through every case",
  async ({ product }) => {
    const outcomes = await runByNode(product, STANDARD, { whole });
    runs.push(...outcomes);
    expect(outcomes.map(({ http }) => http)).toEqual(product.standard);
  },
);

test.concurrent.each(
  (whole ? ours() : []).flatMap(({ product, config }) =>
    BROWSERS.map((browser) => ({ product, config, browser })),
  ),
)(
  "$product.name configured as $config keeps every promise to $browser",
  async ({ product, config, browser }) => {
    const outcome = await runByBrowser(browser, product, config);
    runs.push(outcome);
    expect(broken([outcome])).toEqual([]);
  },
);

afterAll(() => {
  if (!whole) return;
  const keyOf = ({ proxy, config, client, http }: RunOutcome): string => [proxy, config, client, http].join();
  const measured = new Set(runs.map(keyOf));
  const others = (chosen === undefined ? [] : (readNewestResult()?.runs ?? [])).filter(
    (run) => !measured.has(keyOf(run)),
  );
  const order = [DIRECT, ...PRODUCTS.map(({ name }) => name)];
  keepResult(
    toResult({
      cases: CASES.map(({ name, promise }) => ({ name, promise })),
      versions: Object.fromEntries(PRODUCTS.map(({ name, version }) => [name, readVersion(version)])),
      runs: [...others, ...runs].toSorted(
        (a, b) =>
          order.indexOf(a.proxy) - order.indexOf(b.proxy) ||
          a.config.localeCompare(b.config) ||
          CLIENTS.indexOf(a.client) - CLIENTS.indexOf(b.client) ||
          a.http.localeCompare(b.http),
      ),
    }),
  );
});

function ours(): readonly { readonly product: Product; readonly config: string }[] {
  return products.flatMap((product) => Object.keys(product.ours).map((config) => ({ product, config })));
}

/** What a reader of a failed run wants to see, and no more. */
function broken(outcomes: readonly RunOutcome[]): readonly object[] {
  return outcomes.flatMap(({ client, http, outcomes: some, cannot = {} }) =>
    some
      .filter((outcome) => !outcome.ok && !Object.hasOwn(cannot, outcome.case))
      .map(({ case: name, seen }) => ({ client, http, case: name, seen })),
  );
}

function readVersion({
  command,
  args,
}: {
  readonly command: string;
  readonly args: readonly string[];
}): string {
  const env = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
  const text = execFileSync("sh", ["-c", `${[command, ...args].join(" ")} 2>&1`], { env, encoding: "utf8" });
  return text.split("\n")[0]?.trim() ?? "";
}
