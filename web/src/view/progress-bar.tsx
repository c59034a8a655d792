import type { JSX } from "preact";

export interface ProgressBarProps {
  readonly testId: string;
  readonly label: string;
  /** Stored; null while unknown. */
  readonly percentage: number | null;
  /** Left this machine; drawn lighter, behind what is stored. */
  readonly sentPercentage: number | null;
  /** Read out in place of the bare number. */
  readonly text: string;
  readonly moving: boolean;
  readonly size?: "large";
}

/** Two layers: solid for what the server holds, light for what is on its way. */
export function ProgressBar(props: ProgressBarProps): JSX.Element {
  const { testId, label, percentage, sentPercentage, text, moving, size } = props;
  return (
    <div
      class="bar"
      role="progressbar"
      data-testid={testId}
      data-moving={moving}
      data-size={size}
      data-unknown={percentage === null}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percentage === null ? undefined : Math.floor(percentage)}
      aria-valuetext={text}
    >
      <span class="bar-sent" style={{ inlineSize: `${sentPercentage ?? 0}%` }} />
      <span class="bar-stored" style={{ inlineSize: `${percentage ?? 0}%` }} />
    </div>
  );
}
