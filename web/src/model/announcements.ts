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

export function describeConnection(before: ConnectionState, after: ConnectionState): readonly Announcement[] {
  const wasLost = before === "reconnecting" || before === "offline";
  const isLost = after === "reconnecting" || after === "offline";
  if (isLost && !wasLost) return [{ kind: "connection-lost" }];
  return after === "live" && wasLost ? [{ kind: "connection-back" }] : [];
}
