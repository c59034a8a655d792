/**
 * What crosses a socket: real processes, real sockets, real clients, against what was built (`npm run build` first).
 * One project a suite, so that `npm test` can bound and count each: npx vitest run --config e2e/vitest.config.ts --project kill
 *
 * HOLDFAST_WHOLE=1 runs the whole form, which writes e2e/results/<suite>.json; without it a suite takes well under a minute.
 * HOLDFAST_SEED=<number> repeats a run; each run prints its seed.
 */
import { defineConfig } from "vitest/config";

const MINUTE_MS = 60_000;
const suite = { testTimeout: 2 * MINUTE_MS, hookTimeout: MINUTE_MS, fileParallelism: false };

export default defineConfig({
  test: {
    projects: [
      // Two hundred kills take three minutes on two busy cores.
      { test: { ...suite, name: "kill", include: ["e2e/kill/*.test.ts"], testTimeout: 15 * MINUTE_MS } },
      { test: { ...suite, name: "leak", include: ["e2e/leak/*.test.ts"], testTimeout: 5 * MINUTE_MS } },
      { test: { ...suite, name: "big", include: ["e2e/big/*.test.ts"], testTimeout: 5 * MINUTE_MS } },
      { test: { ...suite, name: "clients", include: ["e2e/clients/*.test.ts"] } },
      { test: { ...suite, name: "eventsource", include: ["e2e/eventsource/*.test.ts"] } },
      { test: { ...suite, name: "everywhere", include: ["e2e/everywhere/*.test.ts"] } },
      // What the client offers pages, in pages of their own.
      { test: { ...suite, name: "pages", include: ["e2e/pages/*.test.ts"], testTimeout: 3 * MINUTE_MS } },
      { test: { ...suite, name: "browser", include: ["e2e/browser/*.test.ts"], testTimeout: 3 * MINUTE_MS } },
      // Each case waits far more than it works.
      { test: { ...suite, name: "doctor", include: ["e2e/doctor/*.test.ts"], maxConcurrency: 8 } },
      // The matrix itself is the longest of these; each cell is bounded by the run.
      { test: { ...suite, name: "faults", include: ["e2e/faults/*.test.ts"], testTimeout: 20 * MINUTE_MS } },
      { test: { ...suite, name: "http2", include: ["e2e/http2/*.test.ts"] } },
      { test: { ...suite, name: "plain", include: ["e2e/plain/*.test.ts"] } },
    ],
  },
});
