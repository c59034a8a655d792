/**
 * The three places a setting may come from: flags, before the environment, before the config file, before the standard value.
 *
 * Promises: the result holds every setting, checked and frozen; relations between two of them are refused with both values.
 * Refuses: unknown keys in all three places, so that a slip such as HOLDFAST_HEARBEAT never runs unnoticed; a config file that names
 * another. Reads nothing itself: environment and file come in as parameters. Called by: the commands.
 */
import { suggestName } from "./nearest-name.js";
import { formatDuration } from "./quantity.js";
import { SETTING_NAMES, SETTINGS, toEnvName, type SettingName, type Settings } from "./settings.js";
import { UsageError } from "./usage-error.js";

export interface SettingSources {
  /** Flag name without dashes → text; other names than settings are left alone. */
  readonly flags: ReadonlyMap<string, string>;
  readonly env: { readonly [name: string]: string | undefined };
  /** The whole file as text; throws when it can't be read. */
  readonly readFile: (path: string) => string;
}

/** Throws UsageError. */
export function resolveSettings({ flags, env, readFile }: SettingSources): Settings {
  const fromEnv = readEnv(env);
  const config = flags.get("config") ?? fromEnv.get("config");
  const fromFile =
    config === undefined || config === "none" ? new Map<string, string>() : readConfig(config, readFile);
  const values: Partial<Record<SettingName, unknown>> = {};
  for (const name of SETTING_NAMES) {
    const { kind, standard } = SETTINGS[name];
    const places: readonly (readonly [string | undefined, string])[] = [
      [flags.get(name), `--${name}`],
      [fromEnv.get(name), toEnvName(name)],
      [fromFile.get(name), `${name} in ${config}`],
    ];
    const [text, written] = places.find(([found]) => found !== undefined) ?? [];
    values[name] = text === undefined || written === undefined ? standard : kind.parse(text, written);
  }
  const settings = values as Settings; // every name of the table was parsed by its own kind
  checkRelations(settings);
  return Object.freeze(settings);
}

function readEnv(env: SettingSources["env"]): ReadonlyMap<string, string> {
  const names = new Map(SETTING_NAMES.map((name) => [toEnvName(name), name]));
  const found = new Map<string, string>();
  for (const [written, text] of Object.entries(env)) {
    if (!written.startsWith("HOLDFAST_") || text === undefined) continue;
    const name = names.get(written);
    if (name === undefined) {
      throw new UsageError(
        `unknown environment variable ${written}: ${suggestName(written, [...names.keys()])}`,
      );
    }
    found.set(name, text);
  }
  return found;
}

function readConfig(path: string, readFile: SettingSources["readFile"]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(parseConfig(path, readFile))) {
    if (!Object.hasOwn(SETTINGS, name)) {
      throw new UsageError(
        `unknown key ${JSON.stringify(name)} in ${path}: ${suggestName(name, SETTING_NAMES)}`,
      );
    }
    if (name === "config")
      throw new UsageError(`config in ${path} names another file; keep all settings in one`);
    found.set(name, toText(value, `${name} in ${path}`));
  }
  return found;
}

function parseConfig(path: string, readFile: SettingSources["readFile"]): object {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFile(path));
  } catch (error) {
    throw new UsageError(
      `config file ${path} can't be read: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed)) return parsed;
  throw new UsageError(
    `config file ${path} must hold one JSON object, like {"port": 9000}: got ${JSON.stringify(parsed).slice(0, 80)}`,
  );
}

/** JSON's own types where they are plain (numbers, true, lists); kinds read text alone. */
function toText(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (value === null) return "none";
  if (Array.isArray(value) && value.every((one) => typeof one === "string" && !one.includes(",")))
    return value.join(",");
  throw new UsageError(
    `${name} must be text, a number, true, false or a list of texts: got ${JSON.stringify(value).slice(0, 80)}`,
  );
}

function checkRelations(settings: Settings): void {
  const least = (lower: DurationName, upper: DurationName, or: "equal" | "above", why: string): void => {
    const [low, high] = [settings[lower], settings[upper]];
    if (low < high || (or === "equal" && low === high)) return;
    throw new UsageError(
      `${upper} must be ${or === "equal" ? "at least" : "above"} ${lower}: got ${formatDuration(high)} and ${formatDuration(low)}; ${why}`,
    );
  };
  least("heartbeat", "max-stream-age", "above", "a stream would end before its first heartbeat");
  least("progress-interval", "heartbeat", "equal", "progress would come more rarely than heartbeats");
  least(
    "header-timeout",
    "idle-timeout",
    "equal",
    "a kept connection would be closed while its next request arrives",
  );
  const { "tls-cert": cert, "tls-key": key, "cors-origin": origins } = settings;
  if ((cert === null) !== (key === null)) {
    throw new UsageError(
      `tls-cert and tls-key belong together: got ${cert ?? "none"} and ${key ?? "none"}; give both or neither`,
    );
  }
  if (settings["sse-http1"] && settings.http !== "2") {
    throw new UsageError(
      `sse-http1 needs http 2: got ${settings.http}, where every stream is one of HTTP/1.1 already; leave it out`,
    );
  }
  if (origins.includes("*") && origins.length > 1) {
    throw new UsageError(`cors-origin holds * and other origins: got ${origins.join(",")}; * stands alone`);
  }
}

type DurationName = "heartbeat" | "max-stream-age" | "progress-interval" | "header-timeout" | "idle-timeout";
