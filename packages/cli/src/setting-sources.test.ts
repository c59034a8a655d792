import { expect, test } from "vitest";
import { resolveSettings } from "./setting-sources.js";
import { SETTING_NAMES, SETTINGS, toEnvName, type Settings } from "./settings.js";
import { UsageError } from "./usage-error.js";

interface Given {
  readonly flags?: { readonly [name: string]: string };
  readonly env?: { readonly [name: string]: string };
  readonly file?: unknown;
}

function resolve({ flags = {}, env = {}, file }: Given): Settings {
  return resolveSettings({
    flags: new Map(Object.entries(file === undefined ? flags : { config: "a.json", ...flags })),
    env,
    readFile: (path) => {
      if (path !== "a.json") throw new Error(`ENOENT: no such file, open '${path}'`);
      return typeof file === "string" ? file : JSON.stringify(file);
    },
  });
}

test("with nothing given every setting has its standard value, frozen", () => {
  const settings = resolve({});
  expect(settings).toEqual(Object.fromEntries(SETTING_NAMES.map((name) => [name, SETTINGS[name].standard])));
  expect(Object.isFrozen(settings)).toBe(true);
});

test("a flag goes before the environment, the environment before the file, the file before the standard value", () => {
  const [flags, env, file] = [{ port: "1" }, { HOLDFAST_PORT: "2" }, { port: 3 }];
  expect(resolve({ flags, env, file }).port).toBe(1);
  expect(resolve({ env, file }).port).toBe(2);
  expect(resolve({ file }).port).toBe(3);
  expect(resolve({ file: {} }).port).toBe(8_080);
});

test("every setting is read under each of its three names", () => {
  const texts: { readonly [name: string]: string } = {
    "base-path": "/x",
    "max-upload-size": "1GiB",
    config: "none",
    "tls-cert": "c.pem",
    "tls-key": "k.pem",
    "cors-origin": "https://a.example,https://b.example",
    "auth-secret": "s".repeat(32),
    insecure: "true",
  };
  const text = (name: keyof Settings): string => {
    const kind: { format(value: unknown): string } = SETTINGS[name].kind;
    return texts[name] ?? kind.format(SETTINGS[name].standard);
  };
  const flags = Object.fromEntries(SETTING_NAMES.map((name) => [name, text(name)]));
  const env = Object.fromEntries(SETTING_NAMES.map((name) => [toEnvName(name), text(name)]));
  const { config: _, ...file } = flags;
  const expected = { "base-path": "/x", "max-upload-size": 2 ** 30, "tls-key": "k.pem", insecure: true };
  expect(resolve({ flags })).toMatchObject(expected);
  expect(resolve({ env })).toEqual(resolve({ flags }));
  expect(resolve({ file })).toEqual({ ...resolve({ flags }), config: "a.json" });
});

test("the file may be named by the environment, and holds JSON's own numbers, switches and lists", () => {
  const settings = resolveSettings({
    flags: new Map(),
    env: { HOLDFAST_CONFIG: "b.json" },
    readFile: () =>
      '{"port": 9000, "insecure": true, "cors-origin": ["https://a.example"], "max-upload-size": null}',
  });
  expect(settings).toMatchObject({
    port: 9_000,
    insecure: true,
    "cors-origin": ["https://a.example"],
    "max-upload-size": null,
  });
});

test.each([
  [
    { env: { HOLDFAST_HEARBEAT: "1s" } },
    "unknown environment variable HOLDFAST_HEARBEAT: did you mean HOLDFAST_HEARTBEAT?",
  ],
  [{ file: { heartBeat: "1s" } }, 'unknown key "heartBeat" in a.json: did you mean heartbeat?'],
  [{ file: { data_dir: "x" } }, 'unknown key "data_dir" in a.json: did you mean data-dir?'],
  [{ file: '{"__proto__": 1}' }, 'unknown key "__proto__" in a.json'],
  [{ file: { config: "b.json" } }, "config in a.json names another file"],
  [
    { file: { heartbeat: 10 } },
    'heartbeat in a.json must be a duration with a unit (ms, s, min, h or d), like 10s: got "10"',
  ],
  [{ file: { port: { a: 1 } } }, "port in a.json must be text, a number, true, false or a list of texts"],
  [{ file: [] }, "config file a.json must hold one JSON object"],
  [{ file: "{,}" }, "config file a.json can't be read: "],
  [{ flags: { config: "gone.json" } }, "config file gone.json can't be read: ENOENT"],
  [{ env: { HOLDFAST_PORT: "" } }, 'HOLDFAST_PORT must be an integer from 0 to 65535: got ""'],
  [{ flags: { http: "3" } }, "--http must be one of 1.1, 2"],
  [{ flags: { "base-path": "a" } }, "--base-path must be empty or like /path/to"],
] as const)("%j is refused", (given, message) => {
  expect(() => resolve(given)).toThrow(UsageError);
  expect(() => resolve(given)).toThrow(message);
});

test.each([
  [
    { heartbeat: "2min", "max-stream-age": "1min" },
    "max-stream-age must be above heartbeat: got 1min and 2min",
  ],
  [
    { heartbeat: "1s", "progress-interval": "2s" },
    "heartbeat must be at least progress-interval: got 1s and 2s",
  ],
  [{ "header-timeout": "2min" }, "idle-timeout must be at least header-timeout: got 75s and 2min"],
  [{ "sse-http1": "true" }, "sse-http1 needs http 2: got 1.1"],
  [{ "tls-cert": "c.pem" }, "tls-cert and tls-key belong together: got c.pem and none"],
  [
    { "cors-origin": "*,https://a.example" },
    "cors-origin holds * and other origins: got *,https://a.example",
  ],
])("%j contradict each other, and both values are named", (flags, message) => {
  expect(() => resolve({ flags })).toThrow(message);
});
