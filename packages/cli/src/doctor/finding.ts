/** A finding: what was seen, what it does to people, what to change. Made by the rules, printed by report.ts. */
import type { Survey } from "./observation.js";

/** `fault`: people lose events or see none. `risk`: some will, at some time. `note`: worth knowing. */
export type Severity = "fault" | "risk" | "note";

export interface Finding {
  /** Stable, for scripts and docs/troubleshooting.md. */
  readonly id: string;
  readonly severity: Severity;
  /** What was measured, with its figures. */
  readonly seen: string;
  /** Whose measured behaviour it fits; never judged by `Server:` alone. */
  readonly fits?: string;
  /** Headers that speak for it, as they were sent: any hop may have written them. */
  readonly evidence?: string;
  readonly effect: string;
  /** The exact lines to change, each for one product or place. */
  readonly fix: readonly string[];
}

export type Rule = (survey: Survey) => Finding | undefined;

const TELLING = [
  "server",
  "via",
  "x-powered-by",
  "x-cache",
  "cf-ray",
  "x-amz-cf-id",
  "x-served-by",
  "age",
] as const;

/** Headers that name a product. */
function toEvidence(headers: { readonly [name: string]: string } | undefined): string | undefined {
  const lines = TELLING.flatMap((name) =>
    headers?.[name] === undefined ? [] : [`${name}: ${headers[name]}`],
  );
  return lines.length === 0 ? undefined : lines.join(", ");
}

/** `evidence` as a field to spread: absent rather than undefined. */
export function withEvidence(headers: { readonly [name: string]: string } | undefined): {
  readonly evidence?: string;
} {
  const evidence = toEvidence(headers);
  return evidence === undefined ? {} : { evidence };
}

/** 1234.5 → `1.2 s`, 45.2 → `45 ms`. */
export function showMs(ms: number): string {
  return Math.abs(ms) < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
