/**
 * Unit tests: what needs no socket beyond loopback and no build. Workspace names lead to the sources,
 * so a test never runs against a stale dist. Browsers, proxies and faults live in e2e/, with a config of their own.
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const packages = fileURLToPath(new URL("packages/", import.meta.url));

const files = ["packages/**/src/**/*.test.ts", "scripts/**/*.test.ts", "web/src/**/*.test.{ts,tsx}"];

// They put false clocks or globals in place, or forget all modules: what another file left running would be seen in them.
const changesGlobals = [
  "packages/server/src/tasks/{controls,tasks}.test.ts",
  "packages/server/src/embedding.test.ts",
  "packages/client/src/{environment,upload,wake,watch-task}.test.ts",
];

const common = {
  exclude: ["**/node_modules/**", "**/dist/**"],
  // They find what hangs, not what waits its turn on a machine that does much else at once.
  testTimeout: 20_000,
  hookTimeout: 20_000,
  expect: { poll: { timeout: 15_000 } },
};

export default defineConfig({
  resolve: {
    alias: [
      // `@holdfast/stream` → packages/stream/src/index.ts, `@holdfast/stream/codec` → packages/stream/src/codec.ts.
      { find: /^@holdfast\/(protocol|stream|client|server|cli)$/, replacement: `${packages}$1/src/index.ts` },
      {
        find: /^@holdfast\/(protocol|stream|client|server|cli)\/([a-z0-9-]+)$/,
        replacement: `${packages}$1/src/$2.ts`,
      },
    ],
  },
  test: {
    // Two more than the two cores of a small machine: many cases wait for real deadlines, and cost no CPU meanwhile.
    maxWorkers: 4,
    projects: [
      {
        extends: true,
        // Half of the time went into loading the same modules anew for each file; no test here changes what others see.
        test: {
          ...common,
          name: "unit",
          include: files,
          exclude: [...common.exclude, ...changesGlobals],
          isolate: false,
        },
      },
      { extends: true, test: { ...common, name: "isolated", include: changesGlobals } },
    ],
  },
});
