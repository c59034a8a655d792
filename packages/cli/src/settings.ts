/**
 * The settings of `holdfast serve`: one table, from which the flags, the environment names, the keys of the config file and --help
 * are all made, so that they can't drift apart.
 *
 * Promises: one name in three spellings, `--data-dir`, `HOLDFAST_DATA_DIR`, `data-dir`; standard values are those of the embedded server
 * (a test compares them). Refuses: settings that nothing reads yet. Called by: setting-sources.ts, help.ts, server-options.ts.
 */
import {
  boolean,
  choice,
  duration,
  integer,
  list,
  orNone,
  secret,
  size,
  text,
  type SettingKind,
} from "./setting-kind.js";

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

/** Durations in milliseconds, sizes in bytes, files as paths. */
export interface Settings {
  readonly port: number;
  readonly host: string;
  readonly "base-path": string;
  readonly "data-dir": string;
  readonly config: string | null;
  readonly heartbeat: number;
  readonly "progress-interval": number;
  readonly "max-upload-size": number | null;
  readonly "min-free-disk": number;
  readonly "upload-expiry": number;
  readonly "processing-timeout": number;
  readonly retention: number;
  readonly history: number;
  readonly "history-per-task": number;
  readonly "max-stream-age": number;
  readonly "drain-window": number;
  readonly "header-timeout": number;
  readonly "read-timeout": number;
  readonly "write-timeout": number;
  readonly "idle-timeout": number;
  readonly http: "1.1" | "2";
  readonly "sse-http1": boolean;
  readonly "tls-cert": string | null;
  readonly "tls-key": string | null;
  readonly "cors-origin": readonly string[];
  readonly "auth-secret": string | null;
  readonly insecure: boolean;
  readonly probe: boolean;
  readonly "log-level": LogLevel;
}

export type SettingName = keyof Settings;

export interface Setting<Value> {
  readonly kind: SettingKind<Value>;
  readonly standard: Value;
  /** One sentence, without the standard value. */
  readonly help: string;
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const path = text("<path>", /^[^\0]+$/, "a path");
const host = text("<host>", /^[A-Za-z0-9.:_-]+$/, "a host name or address");
const basePath = text("<path>", /^(|\/|(\/[A-Za-z0-9._~-]+)+\/?)$/, "empty or like /path/to");
const origin = text(
  "<origin>",
  /^(\*|https?:\/\/[^/\s,]+)$/,
  "* or an origin like https://app.example, without a path",
);
const HTTP_VERSIONS: readonly Settings["http"][] = ["1.1", "2"];
const LOG_LEVELS: readonly LogLevel[] = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];

// A timer of Node holds 24.8 days; beyond, it fires at once.
const LONGEST_STREAM = "24d";

export const SETTINGS: { readonly [Name in SettingName]: Setting<Settings[Name]> } = {
  port: { kind: integer(0, 65_535), standard: 8_080, help: "Port to listen on; 0 picks a free one." },
  host: {
    kind: host,
    standard: "127.0.0.1",
    help: "Address to listen on. Beyond loopback it needs auth-secret, or insecure.",
  },
  "base-path": {
    kind: basePath,
    standard: "",
    help: "Path that everything lies below, behind a proxy that keeps it.",
  },
  "data-dir": {
    kind: path,
    standard: "./holdfast-data",
    help: "Directory of the bytes and of the store; one server at a time.",
  },
  config: { kind: orNone(path), standard: null, help: "JSON file with settings by these names." },
  heartbeat: {
    kind: duration("100ms", "1h"),
    standard: 10 * SECOND,
    help: "Time between heartbeats on a stream.",
  },
  "progress-interval": {
    kind: duration("0ms", "1h"),
    standard: 250,
    help: "Least time between two progress events of a task.",
  },
  "max-upload-size": {
    kind: orNone(size("1B", "8191TiB")),
    standard: null,
    help: "Largest upload accepted.",
  },
  "min-free-disk": {
    kind: size("0B", "8191TiB"),
    standard: 256 * 2 ** 20,
    help: "Uploads are refused rather than leave less than this.",
  },
  "upload-expiry": {
    kind: duration("1s", "365d"),
    standard: DAY,
    help: "An upload without a byte for so long fails.",
  },
  "processing-timeout": {
    kind: duration("100ms", "365d"),
    standard: HOUR,
    help: "Wait for a producer after the last byte, at most.",
  },
  retention: { kind: duration("1s", "3650d"), standard: 7 * DAY, help: "Ended tasks are kept for so long." },
  history: {
    kind: duration("1s", "3650d"),
    standard: DAY,
    help: "Events of a task are kept for so long, to be resumed from; its ending as long as the task.",
  },
  "history-per-task": {
    kind: integer(1, 1_000_000),
    standard: 1_000,
    help: "Events kept of a task, at most, beside its ending.",
  },
  "max-stream-age": {
    kind: duration("1s", LONGEST_STREAM),
    standard: 30 * MINUTE,
    help: "A stream is ended, to be resumed, at this age.",
  },
  "drain-window": {
    kind: duration("0ms", "1h"),
    standard: 5 * SECOND,
    help: "At shutdown clients are told to come back spread over this time.",
  },
  "header-timeout": {
    kind: duration("50ms", "1h"),
    standard: 10 * SECOND,
    help: "Request headers must have come within this.",
  },
  "read-timeout": {
    kind: duration("50ms", "1d"),
    standard: MINUTE,
    help: "Longest silence within a request body.",
  },
  "write-timeout": {
    kind: duration("50ms", "1d"),
    standard: 30 * SECOND,
    help: "Time for a client to take an answer that is no stream.",
  },
  "idle-timeout": {
    kind: duration("50ms", "1d"),
    standard: 75 * SECOND,
    help: "A kept connection without a request is closed after this.",
  },
  http: {
    kind: choice(HTTP_VERSIONS),
    standard: "1.1",
    help: "HTTP version spoken; 2 speaks 1.1 as well, to clients that ask for it.",
  },
  "sse-http1": {
    kind: boolean(),
    standard: false,
    help: "With http 2: sends streams back to HTTP/1.1. A browser then uses that for the whole host.",
  },
  "tls-cert": {
    kind: orNone(path),
    standard: null,
    help: "PEM file of the certificate chain; with tls-key.",
  },
  "tls-key": { kind: orNone(path), standard: null, help: "PEM file of the private key; with tls-cert." },
  "cors-origin": {
    kind: list(origin),
    standard: [],
    help: "Origins whose pages may call; * alone allows all, without credentials.",
  },
  "auth-secret": {
    kind: orNone(secret(32)),
    standard: null,
    help: "Signs access tokens (see holdfast token). Better in the environment or the file: flags are seen by other users.",
  },
  insecure: {
    kind: boolean(),
    standard: false,
    help: "Listen beyond loopback although anybody may do anything.",
  },
  probe: {
    kind: boolean(),
    standard: false,
    help: "Routes below /api/v1/probe by which holdfast doctor measures the way between.",
  },
  "log-level": { kind: choice(LOG_LEVELS), standard: "info", help: "Least level that is logged." },
};

export const SETTING_NAMES: readonly SettingName[] = Object.keys(SETTINGS) as SettingName[];

/** `data-dir` → `HOLDFAST_DATA_DIR`. */
export function toEnvName(name: SettingName): string {
  return `HOLDFAST_${name.toUpperCase().replaceAll("-", "_")}`;
}
