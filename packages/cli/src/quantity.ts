/**
 * Durations (`250ms`, `10s`, `1.5h`) and sizes (`64MB`, `5GiB`): a number and a unit, written together or apart.
 *
 * Promises: parse(format(x)) is x for every whole number of milliseconds or bytes; what comes out is a safe integer.
 * Refuses: a number without a unit, since `--heartbeat 10` is seconds to one reader and milliseconds to the next; signs; sums such as
 * `1h30min`; a fraction that is no whole millisecond or byte. Called by: setting-kind.ts.
 */

/** Unit → how many milliseconds, largest first. `m` is left out: minutes to one reader, months or metres to another. */
const DURATION_UNITS: Units = { d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000, ms: 1 };

/** Unit → how many bytes, largest first. */
const SIZE_UNITS: Units = {
  TiB: 2 ** 40,
  TB: 1e12,
  GiB: 2 ** 30,
  GB: 1e9,
  MiB: 2 ** 20,
  MB: 1e6,
  KiB: 2 ** 10,
  KB: 1e3,
  B: 1,
};

interface Units {
  readonly [unit: string]: number;
}

const QUANTITY = /^(\d{1,16}(?:\.\d{1,9})?) ?([A-Za-z]+)$/;

/** Milliseconds, or undefined when the text is no duration. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, DURATION_UNITS);
}

/** Bytes, or undefined when the text is no size. Units in any case: `5gib`. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(text, SIZE_UNITS);
}

/** The largest unit that divides it: 90000 → `90s`, 120000 → `2min`. */
export function formatDuration(ms: number): string {
  return formatQuantity(ms, DURATION_UNITS);
}

/** The largest unit that divides it: 268435456 → `256MiB`, 64000000 → `64MB`. */
export function formatSize(bytes: number): string {
  return formatQuantity(bytes, SIZE_UNITS);
}

function parseQuantity(text: string, units: Units): number | undefined {
  const [, digits, suffix] = QUANTITY.exec(text.trim()) ?? [];
  if (digits === undefined || suffix === undefined) return undefined;
  const unit = Object.keys(units).find((name) => name.toLowerCase() === suffix.toLowerCase());
  if (unit === undefined) return undefined;
  const value = Number(digits) * (units[unit] ?? Number.NaN);
  return Number.isSafeInteger(value) ? value : undefined;
}

function formatQuantity(value: number, units: Units): string {
  for (const [unit, size] of Object.entries(units)) {
    if (value >= size && value % size === 0) return `${value / size}${unit}`;
  }
  return `0${Object.keys(units).at(-1) ?? ""}`;
}
