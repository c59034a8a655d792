/** The short form is a suite of `npm test`; HOLDFAST_WHOLE=1 runs the whole one, see scripts/conformance.mjs. */
import { defineConfig } from "vitest/config";

const MINUTE_MS = 60_000;

export default defineConfig({
  test: {
    name: "conformance",
    include: ["conformance/*.test.ts"],
    testTimeout: 30 * MINUTE_MS,
    fileParallelism: false,
    // Most of a run is waiting; more at once would measure the machine.
    maxConcurrency: 5,
  },
});
