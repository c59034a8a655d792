/**
 * `holdfast token`: an access token on stdout, signed with the same auth-secret that the server has. Scopes are what the server knows;
 * a token bound to nothing may do its scopes on everything. Called by: main.ts.
 */
import { readFileSync } from "node:fs";
import type { NewToken } from "@holdfast/server";
import type { CommandIo } from "./command-io.js";
import { parseFlags } from "./flags.js";
import { renderEntry, toEntry } from "./help.js";
import { choice, duration, list, text, type SettingKind } from "./setting-kind.js";
import { resolveSettings } from "./setting-sources.js";
import { SETTINGS, type SettingName } from "./settings.js";
import { UsageError } from "./usage-error.js";

type Scope = NewToken["scopes"][number];

const scopes: SettingKind<readonly Scope[]> = list(choice<Scope>(["watch", "upload", "produce", "admin"]));
const id = text("<id>", /^[A-Za-z0-9_-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 _ -");
const expires = duration("1s", "365d");
const STANDARD_EXPIRY = "1h";

const SHARED: readonly SettingName[] = ["auth-secret", "config"];

/** Throws UsageError. */
export async function token(args: readonly string[], io: CommandIo): Promise<number> {
  const { values, positionals } = parseFlags(args, {
    scope: scopes,
    task: id,
    batch: id,
    expires,
    ...Object.fromEntries(SHARED.map((name) => [name, SETTINGS[name].kind])),
  });
  if (positionals.length > 0) throw new UsageError(`token takes flags only: got ${positionals.join(" ")}`);
  const settings = resolveSettings({
    flags: values,
    env: io.env,
    readFile: (path) => readFileSync(path, "utf8"),
  });
  const secret = settings["auth-secret"];
  if (secret === null) {
    throw new UsageError(
      "token needs the auth-secret of the server: got none; set HOLDFAST_AUTH_SECRET or --auth-secret",
    );
  }
  const scope = values.get("scope");
  if (scope === undefined) throw new UsageError(`--scope is missing: write --scope ${scopes.placeholder}`);
  const [task, batch] = [values.get("task"), values.get("batch")];
  const wanted: NewToken = {
    secret,
    scopes: scopes.parse(scope, "--scope"),
    expiresInSeconds: Math.ceil(expires.parse(values.get("expires") ?? STANDARD_EXPIRY, "--expires") / 1_000),
    ...(task !== undefined && { taskId: id.parse(task, "--task") }),
    ...(batch !== undefined && { batchId: id.parse(batch, "--batch") }),
  };
  const { signToken } = await import("@holdfast/server");
  io.stdout.write(`${await signToken(wanted)}\n`);
  return 0;
}

export function tokenHelp(): string {
  const entries = [
    {
      name: "scope",
      placeholder: scopes.placeholder,
      help: "What its bearer may do; repeat it or part by commas.",
    },
    { name: "task", placeholder: id.placeholder, help: "Only this task or upload.", standard: "any" },
    { name: "batch", placeholder: id.placeholder, help: "Only this batch.", standard: "any" },
    {
      name: "expires",
      placeholder: expires.placeholder,
      help: "Valid for so long.",
      standard: STANDARD_EXPIRY,
    },
    ...SHARED.map(toEntry),
  ];
  return `Usage: holdfast token --scope watch --task ID --expires 1h

Prints an access token: send it as Authorization: Bearer, or as ?token= where headers can't be set.

${entries.map(renderEntry).join("\n")}`;
}
