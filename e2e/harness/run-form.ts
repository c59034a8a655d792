/**
 * How much a suite does: the short form in `npm test`, the whole form (HOLDFAST_WHOLE=1) for the figures that are kept.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";

export const WHOLE: boolean = process.env["HOLDFAST_WHOLE"] === "1";

/** Drawn anew for each run unless HOLDFAST_SEED names one. */
export const SEED: number = Number(process.env["HOLDFAST_SEED"] ?? Date.now() % 2 ** 31);

/** Prints the figures; the whole form keeps them in results/<suite>.json. */
export function reportResult(suite: string, figures: { readonly [name: string]: unknown }): void {
  const result = {
    suite,
    date: new Date().toISOString(),
    node: process.version,
    cores: availableParallelism(),
    command: `HOLDFAST_WHOLE=1 npx vitest run --config e2e/vitest.config.ts --project ${suite.split("-")[0] ?? suite}`,
    form: WHOLE ? "whole" : "short",
    ...figures,
  };
  const text = `${JSON.stringify(result, undefined, 2)}\n`;
  console.log(text);
  if (!WHOLE) return;
  const directory = fileURLToPath(new URL("../results/", import.meta.url));
  mkdirSync(directory, { recursive: true });
  writeFileSync(`${directory}${suite}.json`, text);
}
