/**
 * What `--help` prints, made from the tables that the parsers use. Imports nothing of the server: help answers at once.
 */
import type { SettingKind } from "./setting-kind.js";
import { SETTING_NAMES, SETTINGS, toEnvName, type SettingName } from "./settings.js";

export interface HelpEntry {
  readonly name: string;
  readonly placeholder: string;
  readonly help: string;
  readonly standard?: string;
  readonly env?: string;
}

export const USAGE: string = `Usage: holdfast <command> [flags]

Commands
  serve      receive uploads and stream their progress
  doctor     find out what breaks a stream
  proxy      print the configuration of a proxy: nginx, Apache, HAProxy, Caddy and others
  token      make an access token
  help       show this, or the help of a command
  version    show the version

holdfast <command> --help shows the flags of a command.
`;

export function serveHelp(): string {
  return `Usage: holdfast serve [flags]

Receives uploads and streams the progress of tasks over Server-Sent Events, with a page at /.

Every setting is a flag, an environment variable and a key of the JSON file that --config names; a flag goes before the
environment, the environment before the file. The key is the flag without dashes. Unknown names are refused everywhere.
Durations are written 250ms, 10s, 30min, 24h, 7d; sizes 64MB, 5GiB.

${SETTING_NAMES.map((name) => renderEntry(toEntry(name))).join("\n")}`;
}

export function renderEntry({ name, placeholder, help, standard, env }: HelpEntry): string {
  const notes = [
    ...(env === undefined ? [] : [`env ${env}, key ${name}`]),
    ...(standard === undefined ? [] : [`default ${standard}`]),
  ];
  const line = `  --${name}${placeholder === "" ? "" : ` ${placeholder}`}\n      ${help}\n`;
  return notes.length === 0 ? line : `${line}      ${notes.join("; ")}\n`;
}

export function toEntry(name: SettingName): HelpEntry {
  const { help, standard } = SETTINGS[name];
  // Each kind formats its own standard value; the table's type ties the two together, a union of its rows does not.
  const kind = SETTINGS[name].kind as SettingKind<typeof standard>;
  return { name, placeholder: kind.placeholder, help, standard: kind.format(standard), env: toEnvName(name) };
}
