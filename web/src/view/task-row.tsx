import type { JSX } from "preact";
import type { RowView } from "../model/row-view.js";
import { ProgressBar } from "./progress-bar.js";
import { RowActions } from "./row-actions.js";
import { RowMark } from "./row-mark.js";
import { describeFailure, describeFigures, describeState } from "./row-text.js";
import { useSurroundings } from "./surroundings.js";

const MOVING: ReadonlySet<string> = new Set(["starting", "uploading", "processing", "elsewhere"]);

export function TaskRow({ row }: { readonly row: RowView }): JSX.Element {
  const { words, formatters, clock } = useSurroundings();
  const name = row.name ?? words.value.unnamed;
  // The clock is read only where it is shown, so that resting rows are not drawn every second.
  const nowMs = row.retryAtMs === null ? 0 : clock.value;
  const state = describeState(row, nowMs, words.value, formatters.value);
  const figures = describeFigures(row, words.value, formatters.value);
  const failure = describeFailure(row, words.value);
  const over = row.status === "failed" || row.status === "cancelled";
  const percent = row.percentage === null ? null : formatters.value.percent(row.percentage);
  return (
    <li
      class="row"
      data-testid="row"
      data-task-id={row.key}
      data-status={row.status}
      data-uploaded={row.stored}
    >
      <RowMark status={row.status} />
      <h3 class="row-name" title={name}>
        <bdi>{name}</bdi>
      </h3>
      <span class="row-percent figure" data-testid="row-percentage" aria-hidden="true">
        {over ? null : percent}
      </span>
      <ProgressBar
        testId="row-bar"
        label={name}
        percentage={row.percentage}
        sentPercentage={row.sentPercentage}
        text={[percent, state, ...figures].filter((part) => part !== null).join(words.value.separator)}
        moving={MOVING.has(row.status)}
      />
      <p class="row-meta figures">
        <span class="row-state" data-testid="row-state">
          {state}
        </span>
        {figures.map((figure) => (
          <span key={figure}>{figure}</span>
        ))}
      </p>
      <RowActions row={row} name={name} />
      {failure === null ? null : (
        <p class="row-failure" data-testid="row-failure">
          {failure}
          {row.failure === null ? null : <code>{row.failure.code}</code>}
        </p>
      )}
    </li>
  );
}
