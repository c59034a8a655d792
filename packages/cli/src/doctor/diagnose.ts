/** Survey → findings, the worst first. Pure: the same survey has the same findings. */
import { CONNECTION_RULES } from "./connection-rules.js";
import type { Finding, Severity } from "./finding.js";
import type { Survey } from "./observation.js";
import { PROBE_RULES } from "./probe-rules.js";
import { STREAM_RULES } from "./stream-rules.js";

const RANK: { readonly [S in Severity]: number } = { fault: 0, risk: 1, note: 2 };

export function diagnose(survey: Survey): readonly Finding[] {
  return [...CONNECTION_RULES, ...STREAM_RULES, ...PROBE_RULES]
    .flatMap((rule) => rule(survey) ?? [])
    .toSorted((a, b) => RANK[a.severity] - RANK[b.severity]);
}
