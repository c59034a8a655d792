import type { JSX } from "preact";
import { ProgressBar } from "./progress-bar.js";
import { useSurroundings } from "./surroundings.js";

/** The whole list in one number, set large, and one bar. */
export function Overall(): JSX.Element {
  const { board, words, formatters } = useSurroundings();
  const view = board.overall.value;
  const say = words.value;
  const { bytes, bytesPerSecond, duration, percent } = formatters.value;
  const completed = say.filesDone(view.completed, view.files);
  const failed = view.failed > 0 ? say.filesFailed(view.failed) : null;
  const figures =
    view.totalBytes === 0 ? [] : [say.storedOf(bytes(view.storedBytes), bytes(view.totalBytes))];
  if (view.kind === "moving" && view.bytesPerSecond > 0) figures.push(bytesPerSecond(view.bytesPerSecond));
  if (view.etaSeconds !== null) figures.push(say.left(duration(view.etaSeconds)));
  return (
    <section
      class="overall"
      aria-label={say.overall}
      data-testid="overall"
      data-kind={view.kind}
      data-failed={view.failed}
    >
      <p class="overall-number figure" data-testid="overall-percent" aria-hidden="true">
        {view.percentage ?? 0}
        <span class="overall-sign">%</span>
        <span class="overall-word">{say.storedWord}</span>
      </p>
      <ProgressBar
        testId="overall-bar"
        label={say.overall}
        percentage={view.percentage}
        sentPercentage={view.sentPercentage}
        text={[percent(view.percentage ?? 0), completed, failed, ...figures]
          .filter((part) => part !== null)
          .join(say.separator)}
        moving={view.kind === "moving"}
        size="large"
      />
      <p class="overall-facts figures">
        <span>{completed}</span>
        {failed === null ? null : <span class="overall-failed">{failed}</span>}
      </p>
      <p class="overall-figures figures">
        {figures.map((figure) => (
          <span key={figure}>{figure}</span>
        ))}
      </p>
      {view.kind === "done" ? null : (
        <ul class="legend" aria-hidden="true">
          <li class="legend-stored">{say.legendStored}</li>
          <li class="legend-sent">{say.legendSent}</li>
        </ul>
      )}
    </section>
  );
}
