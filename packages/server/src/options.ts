/**
 * What a host or the command line may set, parsed once at the door.
 *
 * Promises: `parseOptions` returns every setting, frozen; an unknown key is refused with the nearest known one; a value is
 * refused with what was refused, got, the bound and the fix; two settings that contradict each other are named with both values.
 * Refuses: to read files, flags or the environment (that is the command line's). Called by: `createHoldfast`.
 */
import type { FastifyRequest } from "fastify";
import type { Logger } from "pino";
import { HISTORY_PER_TASK, type Store } from "./stores/store.js";

/** What a request wants to do. `admin` may do all of it, and see metrics. */
export type Action = "watch" | "upload" | "produce" | "admin";

export interface AuthorizeQuestion {
  readonly action: Action;
  /** Null when the request is not about one task. */
  readonly taskId: string | null;
  /** Of the request, or of the task it is about; null when there is none. */
  readonly batchId: string | null;
  readonly request: FastifyRequest;
}

/** `expiresAt` in Unix seconds: a stream is closed then. */
export type AuthorizeAnswer = boolean | { readonly allowed: boolean; readonly expiresAt?: number };

export type Authorize = (question: AuthorizeQuestion) => AuthorizeAnswer | Promise<AuthorizeAnswer>;

export interface HoldfastSettings {
  /** 0 picks a free one. */
  readonly port: number;
  readonly host: string;
  /** Where links point and routes lie, `""` or `/path` without a trailing slash. */
  readonly basePath: string;
  readonly dataDir: string;
  readonly heartbeatMs: number;
  readonly progressIntervalMs: number;
  /** Null: bounded by the disk alone. */
  readonly maxUploadBytes: number | null;
  /** Uploads are refused rather than leave less than this. */
  readonly minFreeDiskBytes: number;
  readonly uploadExpiryMs: number;
  readonly processingTimeoutMs: number;
  /** How long an ended task and its ending are kept. */
  readonly retentionMs: number;
  /** Milestones older than this are let go of, endings excepted; cursors older than that get a `gap`. */
  readonly historyMs: number;
  /** Milestones held of a task beside its ending. A store of the host's own has its own bound. */
  readonly historyPerTask: number;
  readonly retryGraceMs: number;
  readonly maxStreamAgeMs: number;
  /** Clients are told at drain to come back within this. */
  readonly drainWindowMs: number;
  /** A connection that holds more unsent bytes is closed and resumes. */
  readonly maxQueueBytes: number;
  readonly headerTimeoutMs: number;
  /** Silence allowed within a request body. */
  readonly readTimeoutMs: number;
  /** Time in which an answer that is no stream must be taken by its client. */
  readonly writeTimeoutMs: number;
  /** A kept connection without a request is closed after this. */
  readonly idleTimeoutMs: number;
  /** `2` speaks HTTP/2 and, on the same port, HTTP/1.1. */
  readonly http: "1.1" | "2";
  /** Streams are for HTTP/1.1: over HTTP/2 they are reset with HTTP_1_1_REQUIRED. A browser then uses HTTP/1.1 for the whole host. */
  readonly sseHttp1: boolean;
  /** PEM texts. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** `*` alone allows every origin, without credentials. */
  readonly corsOrigins: readonly string[];
  /** At least 32 bytes; tokens are signed with it (HS256). */
  readonly authSecret: string | null;
  readonly authorize: Authorize | null;
  /** Listen beyond loopback without `authSecret` or `authorize`. */
  readonly insecure: boolean;
  /** Routes by which a doctor measures the way to its clients. */
  readonly probe: boolean;
  /** Undefined: silent. */
  readonly logger: Logger | undefined;
  /** Directory of the built page; null: no page. */
  readonly pageDir: string | null;
  /** A store of the host's own, which the host closes; null: SQLite in `dataDir`. */
  readonly store: Store | null;
}

export type HoldfastOptions = {
  readonly [Key in keyof HoldfastSettings]?: HoldfastSettings[Key] | undefined;
};

/** A setting was refused; `option` is its name. Thrown before anything is opened. */
export class OptionError extends Error {
  override readonly name = "OptionError";
  readonly option: string;

  constructor(option: string, message: string) {
    super(message);
    this.option = option;
  }
}

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MIB = 1_048_576;
// Timers of Node hold 31 bits; beyond them they fire at once.
const MAX_TIMER_MS = 2_147_483_647;
const MIN_SECRET_BYTES = 32; // RFC 7518 §3.2: the key of HS256 is at least as long as its hash.

type Check<Value> = (value: unknown, name: string) => Value;

const CHECKS: {
  readonly [Key in keyof HoldfastSettings]: readonly [HoldfastSettings[Key], Check<HoldfastSettings[Key]>];
} = {
  port: [8_080, integer(0, 65_535)],
  host: ["127.0.0.1", text],
  basePath: ["", basePath],
  dataDir: ["./holdfast-data", text],
  heartbeatMs: [10 * SECOND, integer(100, HOUR)],
  progressIntervalMs: [250, integer(0, HOUR)],
  maxUploadBytes: [null, nullable(integer(1, Number.MAX_SAFE_INTEGER))],
  minFreeDiskBytes: [256 * MIB, integer(0, Number.MAX_SAFE_INTEGER)],
  uploadExpiryMs: [DAY, integer(SECOND, 365 * DAY)],
  processingTimeoutMs: [HOUR, integer(100, 365 * DAY)],
  retentionMs: [7 * DAY, integer(SECOND, 3_650 * DAY)],
  historyMs: [DAY, integer(SECOND, 3_650 * DAY)],
  historyPerTask: [HISTORY_PER_TASK, integer(1, 1_000_000)],
  retryGraceMs: [300 * SECOND, integer(0, 365 * DAY)],
  maxStreamAgeMs: [1_800 * SECOND, integer(SECOND, MAX_TIMER_MS)],
  drainWindowMs: [5 * SECOND, integer(0, HOUR)],
  maxQueueBytes: [65_536, integer(4_096, 1_024 * MIB)],
  headerTimeoutMs: [10 * SECOND, integer(50, HOUR)],
  readTimeoutMs: [60 * SECOND, integer(50, DAY)],
  writeTimeoutMs: [30 * SECOND, integer(50, DAY)],
  idleTimeoutMs: [75 * SECOND, integer(50, DAY)],
  http: ["1.1", httpVersion],
  sseHttp1: [false, boolean],
  tls: [null, nullable(tls)],
  corsOrigins: [[], origins],
  authSecret: [null, nullable(secret)],
  authorize: [null, nullable(authorizeFunction)],
  insecure: [false, boolean],
  probe: [false, boolean],
  logger: [undefined, (value) => (value === undefined ? undefined : shaped<Logger>("info")(value, "logger"))],
  pageDir: [null, nullable(text)],
  store: [null, nullable(shaped<Store>("commit"))],
};

/** Throws OptionError. */
export function parseOptions(options: HoldfastOptions): HoldfastSettings {
  const known = Object.keys(CHECKS);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new OptionError(key, `unknown option ${key}; ${suggest(key, known)}`);
  }
  const settings: Record<string, unknown> = {};
  for (const [name, [standard, check]] of Object.entries(CHECKS)) {
    const value: unknown = options[name as keyof HoldfastOptions];
    settings[name] = value === undefined ? standard : check(value, name);
  }
  const parsed = settings as unknown as HoldfastSettings; // every key of CHECKS is there, each checked
  checkRelations(parsed);
  return Object.freeze(parsed);
}

/** `did you mean x?`, or the list of what there is. */
function suggest(name: string, known: readonly string[]): string {
  const best = known
    .map((candidate) => ({ candidate, edits: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .toSorted((a, b) => a.edits - b.edits)[0];
  return best !== undefined && best.edits <= Math.max(2, name.length / 3)
    ? `did you mean ${best.candidate}?`
    : `known are ${known.join(", ")}`;
}

function checkRelations(settings: HoldfastSettings): void {
  const { heartbeatMs, maxStreamAgeMs, progressIntervalMs, headerTimeoutMs, idleTimeoutMs } = settings;
  if (settings.authSecret !== null && settings.authorize !== null) {
    throw new OptionError(
      "authorize",
      "authorize and authSecret are both set; one of them must decide: leave out authSecret, or verify your tokens in authorize",
    );
  }
  if (heartbeatMs >= maxStreamAgeMs) {
    throw new OptionError(
      "maxStreamAgeMs",
      `maxStreamAgeMs must be above heartbeatMs: got ${maxStreamAgeMs} and ${heartbeatMs}; a stream would end before its first heartbeat`,
    );
  }
  if (progressIntervalMs > heartbeatMs) {
    throw new OptionError(
      "progressIntervalMs",
      `progressIntervalMs must not be above heartbeatMs: got ${progressIntervalMs} and ${heartbeatMs}; progress would come more rarely than heartbeats`,
    );
  }
  if (headerTimeoutMs > idleTimeoutMs) {
    throw new OptionError(
      "headerTimeoutMs",
      `headerTimeoutMs must not be above idleTimeoutMs: got ${headerTimeoutMs} and ${idleTimeoutMs}; a kept connection would be closed while its next request arrives`,
    );
  }
  if (settings.sseHttp1 && settings.http !== "2") {
    throw new OptionError(
      "sseHttp1",
      `sseHttp1 needs http 2: got ${settings.http}, where every stream is one of HTTP/1.1 already; leave it out`,
    );
  }
  if (settings.corsOrigins.includes("*") && settings.corsOrigins.length > 1) {
    throw new OptionError(
      "corsOrigins",
      "corsOrigins holds * and other origins; * stands alone, and allows no credentials",
    );
  }
}

function integer(min: number, max: number): Check<number> {
  return (value, name) => {
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < min || value > max) {
      throw new OptionError(name, `${name} must be an integer from ${min} to ${max}: got ${show(value)}`);
    }
    return value;
  };
}

function nullable<Value>(check: Check<Value>): Check<Value | null> {
  return (value, name) => (value === null ? null : check(value, name));
}

function text(value: unknown, name: string): string {
  if (typeof value !== "string" || value === "" || value.includes("\0")) {
    throw new OptionError(name, `${name} must be a text that is not empty: got ${show(value)}`);
  }
  return value;
}

function boolean(value: unknown, name: string): boolean {
  if (typeof value !== "boolean")
    throw new OptionError(name, `${name} must be true or false: got ${show(value)}`);
  return value;
}

function httpVersion(value: unknown, name: string): "1.1" | "2" {
  if (value !== "1.1" && value !== "2")
    throw new OptionError(name, `${name} must be "1.1" or "2": got ${show(value)}`);
  return value;
}

function basePath(value: unknown, name: string): string {
  const path = typeof value === "string" ? value.replace(/\/+$/, "") : value;
  if (typeof path !== "string" || !/^(\/[A-Za-z0-9._~-]+)*$/.test(path) || /\/\.\.?(\/|$)/.test(path)) {
    throw new OptionError(
      name,
      `${name} must be empty or like /path/to, of letters, digits, and . _ ~ -: got ${show(value)}`,
    );
  }
  return path;
}

function tls(value: unknown, name: string): { readonly cert: string; readonly key: string } {
  const { cert, key } = (typeof value === "object" && value !== null ? value : {}) as {
    cert?: unknown;
    key?: unknown;
  };
  for (const [half, pem] of [
    ["cert", cert],
    ["key", key],
  ] as const) {
    if (typeof pem !== "string" || !pem.includes("-----BEGIN")) {
      throw new OptionError(name, `${name}.${half} must be a PEM text; ${name} needs both cert and key`);
    }
  }
  return Object.freeze({ cert: cert as string, key: key as string });
}

function origins(value: unknown, name: string): readonly string[] {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return Object.freeze(
    list.map((one) => {
      if (one === "*") return one;
      if (typeof one !== "string" || !URL.canParse(one) || new URL(one).origin !== one || one === "null") {
        throw new OptionError(
          name,
          `${name} must list origins like https://app.example:8443, without a path: got ${show(one)}`,
        );
      }
      return one;
    }),
  );
}

function secret(value: unknown, name: string): string {
  const bytes = typeof value === "string" ? Buffer.byteLength(value) : 0;
  if (typeof value !== "string" || bytes < MIN_SECRET_BYTES) {
    // The secret itself is not shown.
    throw new OptionError(
      name,
      `${name} must be a text of at least ${MIN_SECRET_BYTES} bytes: got ${bytes}; try: openssl rand -base64 48`,
    );
  }
  return value;
}

function authorizeFunction(value: unknown, name: string): Authorize {
  if (typeof value !== "function")
    throw new OptionError(name, `${name} must be a function: got ${show(value)}`);
  return value as Authorize;
}

/** An object of a known kind, told by one of its methods. */
function shaped<Value>(method: string): Check<Value> {
  return (value, name) => {
    if (
      typeof value !== "object" ||
      value === null ||
      typeof (value as Record<string, unknown>)[method] !== "function"
    ) {
      throw new OptionError(name, `${name} must be an object with a method ${method}: got ${show(value)}`);
    }
    return value as Value;
  };
}

function show(value: unknown): string {
  if (typeof value === "function" || typeof value === "symbol") return typeof value;
  return (JSON.stringify(value) ?? String(value)).slice(0, 80);
}

/** Edits between two names (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
