import type { JSX } from "preact";
import { useMemo } from "preact/hooks";
import { isEnded, type RowView } from "../model/row-view.js";
import { LIST_TITLE_ID } from "./row-actions.js";
import { useSurroundings } from "./surroundings.js";
import { TaskRow } from "./task-row.js";

export function TaskList(): JSX.Element {
  const { board, words } = useSurroundings();
  const rows = board.rows.value;
  return (
    <section class="list" aria-labelledby={LIST_TITLE_ID}>
      <div class="list-head">
        <h2 id={LIST_TITLE_ID} tabIndex={-1}>
          {words.value.files}
        </h2>
        {rows.some(isEnded) ? (
          <button type="button" class="quiet" data-testid="clear-ended" onClick={() => board.clearEnded()}>
            {words.value.clearEnded}
          </button>
        ) : null}
      </div>
      <ol class="rows">
        {rows.map((row) => (
          <SteadyRow key={row.key} row={row} />
        ))}
      </ol>
      <div class="root" aria-hidden="true" />
    </section>
  );
}

/** Gives the same element back while the row is the same, and so spares a list of hundreds the comparing. */
function SteadyRow({ row }: { readonly row: RowView }): JSX.Element {
  return useMemo(() => <TaskRow row={row} />, [row]);
}
