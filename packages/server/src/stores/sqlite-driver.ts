/**
 * SQLite through the `node:sqlite` API: built in from Node 22.13 on, the same API from a package on Node 20.
 * docs/decisions/0003 says what was measured.
 */
import { createRequire } from "node:module";
import { HoldfastError } from "../errors.js";

type Value = null | number | string;

/** A row by column name. */
export interface SqlRecord {
  readonly [column: string]: unknown;
}

/** The part of `StatementSync` that is used here. */
export interface SqlStatement {
  run(...values: Value[]): { readonly changes: number | bigint };
  get(...values: Value[]): SqlRecord | undefined;
  all(...values: Value[]): SqlRecord[];
}

/** The part of `DatabaseSync` that is used here. */
export interface SqlDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqlStatement;
  close(): void;
}

interface Driver {
  readonly DatabaseSync: new (path: string) => SqlDatabase;
}

/** Opens the file; it is created when it does not exist. */
export function openDatabase(path: string): SqlDatabase {
  const require = createRequire(import.meta.url);
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const builtIn = major > 22 || (major === 22 && minor >= 13);
  const driver = require(builtIn ? "node:sqlite" : "@photostructure/sqlite") as Driver;
  return new driver.DatabaseSync(path);
}

/** SQLite's words become ours here. */
export function toStoreError(cause: unknown): HoldfastError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return /full/i.test(reason)
    ? new HoldfastError(
        "INSUFFICIENT_STORAGE",
        "the disk of the data directory is full; free space and try again",
        { cause, retryAfterSeconds: 10 },
      )
    : new HoldfastError("STORE_UNAVAILABLE", "the store did not take the change; try again", {
        cause,
        retryAfterSeconds: 1,
      });
}
