/** The page is made, not written: a ✓ that stands on it and in no result is a claim that nobody measured. */
import { expect, test } from "vitest";
import { CASES } from "./cases.js";
import { STANDARD } from "./deployment.js";
import { PAGE, readNewestResult, toPage } from "./matrix-page.js";
import { DIRECT } from "./node-run.js";
import { PRODUCTS } from "./products.js";

const result = readNewestResult();

// After a change of why.md: npx vitest run --config conformance/vitest.config.ts page -u
test("docs/proxies.md is what the newest result and why.md say", async () => {
  await expect(result === undefined ? "" : toPage(result)).toMatchFileSnapshot(PAGE);
});

test("the newest result has every case of each of our configurations, and each is kept", () => {
  const runs = (result?.runs ?? []).filter(({ client, config }) => client === "node" && config !== STANDARD);
  const ours = PRODUCTS.flatMap(({ ours: some }) =>
    Object.entries(some).flatMap(([config, versions]) => versions.map((http) => `${config} ${http}`)),
  );
  expect(runs.map(({ config, http }) => `${config} ${http}`)).toEqual(expect.arrayContaining(ours));
  for (const { config, http, proxy, outcomes, cannot = {} } of runs) {
    const kept = outcomes
      .filter((outcome) => outcome.ok || Object.hasOwn(cannot, outcome.case))
      .map((outcome) => outcome.case);
    const owed = CASES.filter(({ needs }) => proxy !== DIRECT || (needs !== "proxy" && needs !== "orphan"));
    expect({ config, http, kept: kept.toSorted() }).toEqual({
      config,
      http,
      kept: owed.map(({ name }) => name).toSorted(),
    });
  }
});

test("the newest result has each of our configurations in Chromium and in Firefox, and all that they were asked for is kept", () => {
  const runs = (result?.runs ?? []).filter(({ client }) => client !== "node");
  expect(runs.map(({ config, client }) => `${config} ${client}`).toSorted()).toEqual(
    PRODUCTS.flatMap(({ ours }) =>
      Object.keys(ours).flatMap((config) => [`${config} chromium`, `${config} firefox`]),
    ).toSorted(),
  );
  const broken = runs.flatMap(({ config, client, outcomes, cannot = {} }) =>
    outcomes
      .filter((outcome) => !outcome.ok && !Object.hasOwn(cannot, outcome.case))
      .map((outcome) => ({ config, client, outcome })),
  );
  expect(broken).toEqual([]);
});
