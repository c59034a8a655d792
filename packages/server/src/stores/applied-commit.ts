/**
 * A commit with its cursors filled in: the same in every embedded store.
 */
import type { Commit, Committed, Mark, TaskMilestone } from "./store.js";

export function applyCommit(commit: Commit, before: Mark & { open: Mark }, draw: () => Mark): Committed {
  let newest: Mark = before;
  let { open } = before;
  const milestones: TaskMilestone[] = [];
  for (const draft of commit.milestones) {
    newest = draw();
    if (!draft.ending) open = newest;
    milestones.push({ ...draft, taskId: commit.row.id, cursor: newest.cursor, position: newest.position });
  }
  return {
    milestones,
    row: {
      ...commit.row,
      cursor: newest.cursor,
      position: newest.position,
      openCursor: open.cursor,
      openPosition: open.position,
    },
  };
}

/** Where the row of a commit stood before it. */
export function marksOf(row: Commit["row"]): Mark & { open: Mark } {
  return {
    cursor: row.cursor,
    position: row.position,
    open: { cursor: row.openCursor, position: row.openPosition },
  };
}
