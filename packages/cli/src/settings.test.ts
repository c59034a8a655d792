import { createHoldfast, MemoryStore } from "@holdfast/server";
import { expect, test } from "vitest";
import { serveHelp } from "./help.js";
import { toServerOptions } from "./server-options.js";
import { resolveSettings } from "./setting-sources.js";
import { SETTING_NAMES, toEnvName } from "./settings.js";

const standard = resolveSettings({ flags: new Map(), env: {}, readFile: () => "" });

test("the standard values are those of the embedded server", async () => {
  const { logger: _, ...options } = toServerOptions(standard, { logger: undefined, pageDir: null });
  const embedded = await createHoldfast({ store: new MemoryStore() });
  try {
    expect(embedded.settings).toMatchObject(options);
  } finally {
    await embedded.close();
  }
});

test.each([
  ["retention", "3650d"],
  ["max-stream-age", "24d"],
  ["heartbeat", "100ms"],
  ["upload-expiry", "365d"],
  ["max-upload-size", "8191TiB"],
])("%s at its bound, %s, is accepted by the server", async (name, text) => {
  const flags = new Map([
    [name, text],
    ["progress-interval", "0ms"],
  ]);
  const settings = resolveSettings({ flags, env: {}, readFile: () => "" });
  const options = toServerOptions(settings, { logger: undefined, pageDir: null });
  const holdfast = await createHoldfast({ ...options, store: new MemoryStore() });
  expect(holdfast.settings.retentionMs).toBe(settings.retention);
  await holdfast.close();
});

test("serve --help names the flag, the environment variable, the key and the standard value of every setting", () => {
  const help = serveHelp();
  for (const name of SETTING_NAMES) {
    expect(help).toContain(`--${name}`);
    expect(help).toContain(`env ${toEnvName(name)}, key ${name}; default `);
  }
});
