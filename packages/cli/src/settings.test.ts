import { createHoldfast, MemoryStore, OptionError } from "@holdfast/server";
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

test("each bound of a setting is accepted by the server", async () => {
  for (const [name, text] of [
    ["retention", "3650d"],
    ["max-stream-age", "24d"],
    ["heartbeat", "100ms"],
  ] as const) {
    const flags = new Map([
      [name as string, text as string],
      ["progress-interval", "0ms"],
    ]);
    const settings = resolveSettings({ flags, env: {}, readFile: () => "" });
    const opened = createHoldfast({
      ...toServerOptions(settings, { logger: undefined, pageDir: null }),
      store: new MemoryStore(),
    });
    // oxlint-disable-next-line no-await-in-loop -- one server at a time
    await expect(opened).resolves.not.toBeInstanceOf(OptionError);
    // oxlint-disable-next-line no-await-in-loop -- one server at a time
    await (await opened).close();
  }
});

test("serve --help names the flag, the environment variable, the key and the standard value of every setting", () => {
  const help = serveHelp();
  for (const name of SETTING_NAMES) {
    expect(help).toContain(`--${name}`);
    expect(help).toContain(`env ${toEnvName(name)}, key ${name}; default `);
  }
});
