/**
 * What a setting may hold: how its text is read, what is said when it can't be, and how it is shown in --help.
 *
 * Promises: a refusal names the setting as the person wrote it, what was got, the bound and an example; a secret is never shown.
 * Refuses: to know where a text came from. Called by: settings.ts (the table), setting-sources.ts (the three spellings).
 */
import { formatDuration, formatSize, parseDuration, parseSize } from "./quantity.js";
import { UsageError } from "./usage-error.js";

export interface SettingKind<Value> {
  /** In --help, after the flag: `--port <integer>`; empty for a switch. */
  readonly placeholder: string;
  /** A flag of a switch may stand without a value. */
  readonly isSwitch?: true;
  /** May be given several times; the texts are joined by commas. */
  readonly isList?: true;
  /** Throws UsageError; `name` is the setting as it was written, `--port` or `HOLDFAST_PORT`. */
  readonly parse: (text: string, name: string) => Value;
  /** As a person would write it. */
  readonly format: (value: Value) => string;
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): SettingKind<number> {
  return {
    placeholder: "<integer>",
    format: String,
    parse: (digits, name) => {
      const value = /^\d{1,15}$/.test(digits) ? Number(digits) : Number.NaN;
      if (value >= min && value <= max) return value;
      throw refusal(name, digits, `an integer from ${min} to ${max}`);
    },
  };
}

/** Milliseconds, written with a unit; bounds are written alike. */
export function duration(min: string, max: string): SettingKind<number> {
  return measure("duration", "ms, s, min, h or d", "10s", parseDuration, formatDuration, min, max);
}

/** Bytes, written with a unit; bounds are written alike. */
export function size(min: string, max: string): SettingKind<number> {
  return measure("size", "B, KB, MB, GB, TB, KiB, MiB, GiB or TiB", "5GiB", parseSize, formatSize, min, max);
}

/** Null is written `none`. */
export function orNone<Value>(kind: SettingKind<Value>): SettingKind<Value | null> {
  return {
    ...kind,
    parse: (written, name) => (written === "none" ? null : kind.parse(written, name)),
    format: (value) => (value === null ? "none" : kind.format(value)),
  };
}

/** `pattern` must match the whole text; `what` says so in words. */
export function text(placeholder: string, pattern: RegExp, what: string): SettingKind<string> {
  return {
    placeholder,
    format: (value) => (value === "" ? '""' : value),
    parse: (value, name) => {
      if (pattern.test(value)) return value;
      throw refusal(name, value, what);
    },
  };
}

/** Neither shown nor echoed. */
export function secret(minBytes: number): SettingKind<string> {
  return {
    placeholder: "<secret>",
    format: () => "(hidden)",
    parse: (value, name) => {
      const bytes = Buffer.byteLength(value);
      if (bytes >= minBytes) return value;
      throw new UsageError(
        `${name} must be at least ${minBytes} bytes: got ${bytes}; make one with: openssl rand -base64 48`,
      );
    },
  };
}

/** A switch: `--insecure`, `--insecure=false`, `HOLDFAST_INSECURE=true`. */
export function boolean(): SettingKind<boolean> {
  return {
    placeholder: "",
    isSwitch: true,
    format: String,
    parse: (value, name) => {
      if (value === "true" || value === "false") return value === "true";
      throw refusal(name, value, "true or false");
    },
  };
}

/** One word of a closed set. */
export function choice<Word extends string>(words: readonly Word[]): SettingKind<Word> {
  return {
    placeholder: `<${words.join("|")}>`,
    format: (value) => value,
    parse: (value, name) => {
      const word = words.find((one) => one === value);
      if (word !== undefined) return word;
      throw refusal(name, value, words.length === 1 ? `${words[0]}` : `one of ${words.join(", ")}`);
    },
  };
}

/** Several of a kind, parted by commas; the flag may also be repeated. */
export function list<Value>(kind: SettingKind<Value>): SettingKind<readonly Value[]> {
  return {
    placeholder: `${kind.placeholder},…`,
    isList: true,
    format: (values) => (values.length === 0 ? "none" : values.map((value) => kind.format(value)).join(",")),
    parse: (value, name) => value.split(",").map((one) => kind.parse(one.trim(), name)),
  };
}

function measure(
  noun: string,
  units: string,
  example: string,
  parse: (text: string) => number | undefined,
  format: (value: number) => string,
  min: string,
  max: string,
): SettingKind<number> {
  const [least, most] = [parse(min), parse(max)];
  if (least === undefined || most === undefined)
    throw new Error(`bounds of a ${noun} must parse: ${min}, ${max}`);
  return {
    placeholder: `<${noun}>`,
    format,
    parse: (value, name) => {
      const parsed = parse(value);
      if (parsed === undefined) {
        throw refusal(name, value, `a ${noun} with a unit (${units}), like ${example}`);
      }
      if (parsed >= least && parsed <= most) return parsed;
      throw refusal(name, value, `from ${min} to ${max}`);
    },
  };
}

function refusal(name: string, got: string, bound: string): UsageError {
  return new UsageError(
    `${name} must be ${bound}: got ${JSON.stringify(got.length > 80 ? `${got.slice(0, 80)}…` : got)}`,
  );
}
