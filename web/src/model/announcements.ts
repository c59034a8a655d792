import type { ConnectionState } from "./connection-view.js";
import type { RowView } from "./row-view.js";

/** What a screen reader is told; progress is not, it would never stop talking. */
export type Announcement =
  | { readonly kind: "added"; readonly count: number }
  | {
      readonly kind: "completed" | "failed" | "cancelled" | "paused";
      readonly names: readonly (string | null)[];
    }
  | { readonly kind: "connection-lost" | "connection-back" };

const TOLD = ["completed", "failed", "cancelled", "paused"] as const;

/** From one list to the next; nothing on the first, which a reload brings whole. */
export function describeRows(before: readonly RowView[], after: readonly RowView[]): readonly Announcement[] {
  const statusBefore = new Map(before.map(({ key, status }) => [key, status] as const));
  const said: Announcement[] = [];
  const added = after.filter(({ key, status }) => !statusBefore.has(key) && status === "queued").length;
  if (added > 0) said.push({ kind: "added", count: added });
  for (const kind of TOLD) {
    const names = after
      .filter(({ key, status }) => status === kind && (statusBefore.get(key) ?? kind) !== kind)
      .map(({ name }) => name);
    if (names.length > 0) said.push({ kind, names });
  }
  return said;
}

/** What gathered over a moment, each kind said once. */
export function mergeAnnouncements(said: readonly Announcement[]): readonly Announcement[] {
  const merged = new Map<Announcement["kind"], Announcement>();
  for (const next of said) {
    const before = merged.get(next.kind);
    if (before?.kind === "added" && next.kind === "added") {
      merged.set("added", { kind: "added", count: before.count + next.count });
    } else if (before !== undefined && "names" in before && "names" in next) {
      merged.set(next.kind, { kind: next.kind, names: [...before.names, ...next.names] });
    } else merged.set(next.kind, next);
  }
  return [...merged.values()];
}

export function describeConnection(before: ConnectionState, after: ConnectionState): readonly Announcement[] {
  const wasLost = before === "reconnecting" || before === "offline";
  const isLost = after === "reconnecting" || after === "offline";
  if (isLost && !wasLost) return [{ kind: "connection-lost" }];
  return after === "live" && wasLost ? [{ kind: "connection-back" }] : [];
}
