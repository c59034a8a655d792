/** Numbers and times as a person of that language writes them; all through Intl. */
export interface Formatters {
  /** `412 MB`; decimal units, as storage is sold and as file managers show it. */
  readonly bytes: (count: number) => string;
  readonly bytesPerSecond: (count: number) => string;
  /** A producer's own unit. */
  readonly count: (count: number) => string;
  /** `2 min 5 sec`; two parts at most. */
  readonly duration: (seconds: number) => string;
  readonly percent: (percentage: number) => string;
}

const BYTE_UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte", "petabyte"] as const;

export function createFormatters(locale: string): Formatters {
  const cache = new Map<string, Intl.NumberFormat>();
  // Constructing one costs tens of microseconds, and a busy list asks some thousand times a second.
  const formatOf = (options: Intl.NumberFormatOptions): Intl.NumberFormat => {
    const key = JSON.stringify(options);
    const known = cache.get(key) ?? new Intl.NumberFormat(locale, options);
    cache.set(key, known);
    return known;
  };
  const inBytes = (count: number, suffix: string): string => {
    const power = toPower(count);
    const value = count / 1000 ** power;
    // Three figures tell enough, and a number that keeps its width doesn't make the line dance.
    const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    const unit = `${BYTE_UNITS[power] ?? "byte"}${suffix}`;
    return formatOf({
      style: "unit",
      unit,
      // "20 byte" is how the short form words it.
      unitDisplay: unit === "byte" ? "long" : "short",
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    }).format(value);
  };
  const inUnit = (value: number, unit: "day" | "hour" | "minute" | "second"): string =>
    formatOf({ style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 }).format(value);
  return {
    bytes: (count) => inBytes(count, ""),
    bytesPerSecond: (count) => inBytes(count, "-per-second"),
    count: (count) => formatOf({ maximumFractionDigits: 1 }).format(count),
    percent: (percentage) =>
      formatOf({ style: "percent", maximumFractionDigits: 0 }).format(Math.floor(percentage) / 100),
    duration: (seconds) =>
      toParts(seconds)
        .map(([value, unit]) => inUnit(value, unit))
        .join(locale.startsWith("zh") ? "" : " "),
  };
}

function toPower(count: number): number {
  let power = 0;
  // 999.6 of a unit would be shown as 1,000 of it.
  for (let rest = count; rest >= 999.5 && power < BYTE_UNITS.length - 1; rest /= 1000) power++;
  return power;
}

function toParts(seconds: number): readonly (readonly [number, "day" | "hour" | "minute" | "second"])[] {
  const whole = Math.max(1, Math.ceil(seconds));
  // Minutes of a day, seconds of an hour: precision that no estimate has.
  if (whole >= 86_400)
    return trim([Math.floor(whole / 86_400), "day"], [Math.floor((whole % 86_400) / 3600), "hour"]);
  if (whole >= 3600)
    return trim([Math.floor(whole / 3600), "hour"], [Math.floor((whole % 3600) / 60), "minute"]);
  if (whole >= 60) return trim([Math.floor(whole / 60), "minute"], [whole % 60, "second"]);
  return [[whole, "second"]];
}

type Part = readonly [number, "day" | "hour" | "minute" | "second"];

function trim(large: Part, small: Part): readonly Part[] {
  return small[0] === 0 ? [large] : [large, small];
}
