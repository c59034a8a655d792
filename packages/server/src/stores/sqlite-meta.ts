/**
 * What the embedded store knows of itself: its epoch, and where its cursor clock stands across stops, clean and other.
 *
 * After a crash the clock goes on from the newest milestone in the file; should that one have been removed, from the floor that
 * was noted with the removal. Refuses: transactions; every write is part of one of its caller's. Called by: `SqliteStore` alone.
 */
import { randomBytes } from "node:crypto";
import { CursorClock } from "./cursor-clock.js";
import { toMs } from "./sqlite-history.js";
import type { SqlStatements } from "./sqlite-schema.js";
import type { Mark } from "./store.js";

export class SqliteMeta {
  readonly #sql: SqlStatements;

  constructor(sql: SqlStatements) {
    this.#sql = sql;
  }

  openClock(now: () => number): CursorClock {
    const newest = this.#sql.newest.get();
    const [floor = 0, floorMs = 0] = JSON.parse(this.#read("floor") ?? "[]") as number[];
    const clock = new CursorClock(
      this.#read("epoch") ?? randomBytes(4).toString("hex"),
      {
        newest: Math.max(floor, Number(this.#read("newest") ?? newest?.["seq"] ?? 0)),
        newestMs: Math.max(floorMs, Number(this.#read("newestMs") ?? newest?.["ms"] ?? 0)),
        reserved: Number(this.#read("reserved") ?? 0),
        holes: JSON.parse(this.#read("holes") ?? "[]") as [number, number][],
      },
      now,
    );
    this.#write("epoch", clock.epoch);
    this.#write("holes", JSON.stringify(clock.holes));
    // A clean stop left these; from here on the milestones themselves are the truth.
    this.#sql.clearMeta.run("newest");
    this.#sql.clearMeta.run("newestMs");
    return clock;
  }

  reserve(bound: number): void {
    this.#write("reserved", String(bound));
  }

  /** Before anything is removed that may be the newest. */
  noteFloor({ position, cursor }: Mark): void {
    this.#write("floor", JSON.stringify([position, toMs(cursor)]));
  }

  /** A clean stop gives back what was reserved, so that no hole is left. */
  stop({ position, cursor }: Mark): void {
    this.#write("reserved", String(position));
    this.#write("newest", String(position));
    this.#write("newestMs", String(toMs(cursor)));
  }

  #read(key: string): string | undefined {
    const found = this.#sql.readMeta.get(key);
    return found === undefined ? undefined : String(found["value"]);
  }

  #write(key: string, value: string): void {
    this.#sql.setMeta.run(key, value);
  }
}
