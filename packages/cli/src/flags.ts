/**
 * The command line taken apart: `--name value`, `--name=value`, switches, and what stands without a name.
 *
 * Promises: texts only, each by its flag's name. Refuses: unknown flags (with the nearest known one), a flag without its value, a value
 * that looks like the next flag, a flag given twice that takes one value, and single-letter flags. Called by: main.ts and the commands.
 */
import { parseArgs } from "node:util";
import { suggestName } from "./nearest-name.js";
import type { SettingKind } from "./setting-kind.js";
import { UsageError } from "./usage-error.js";

/** The part of a kind that decides how its flag is read. */
export type FlagShape = Pick<SettingKind<unknown>, "isSwitch" | "isList">;

export interface Flags {
  /** Name without dashes → its text; several of a list are joined by commas. */
  readonly values: ReadonlyMap<string, string>;
  readonly positionals: readonly string[];
}

/** Throws UsageError. */
export function parseFlags(args: readonly string[], known: { readonly [name: string]: FlagShape }): Flags {
  const options = Object.fromEntries(
    Object.entries(known).map(
      ([name, { isSwitch }]) => [name, { type: isSwitch === true ? "boolean" : "string" }] as const,
    ),
  );
  const { tokens } = parseArgs({
    args: [...args],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const shape =
      Object.hasOwn(known, token.name) && token.rawName.startsWith("--") ? known[token.name] : undefined;
    if (shape === undefined) {
      throw new UsageError(
        `unknown flag ${token.rawName}: ${suggestName(token.rawName, toFlags(Object.keys(known)))}`,
      );
    }
    const before = values.get(token.name);
    const value = readValue(token, shape);
    if (before !== undefined && shape.isList !== true) {
      throw new UsageError(`${token.rawName} is given twice: got ${before} and ${value}; keep one`);
    }
    values.set(token.name, before === undefined ? value : `${before},${value}`);
  }
  return { values, positionals };
}

interface OptionToken {
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function readValue({ rawName, value, inlineValue }: OptionToken, { isSwitch }: FlagShape): string {
  if (value === undefined) {
    if (isSwitch === true) return "true";
    throw new UsageError(`${rawName} needs a value: got none; write ${rawName}=VALUE`);
  }
  // `--port --host x` is a forgotten value far more often than a value that begins with dashes.
  if (inlineValue !== true && value.startsWith("--")) {
    throw new UsageError(`${rawName} needs a value: got the next flag, ${value}; write ${rawName}=VALUE`);
  }
  return value;
}

function toFlags(names: readonly string[]): readonly string[] {
  return names.map((name) => `--${name}`);
}
