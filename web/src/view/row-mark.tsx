import type { JSX } from "preact";
import type { RowStatus } from "../model/row-view.js";

/** The float on the stalk: a picture of the status. The words stand beside it, so it is hidden from screen readers. */
export function RowMark({ status }: { readonly status: RowStatus }): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
      <circle class="mark-disc" cx="12" cy="12" r="9.25" />
      {toGlyph(status)}
    </svg>
  );
}

function toGlyph(status: RowStatus): JSX.Element {
  switch (status) {
    case "completed":
      return <path class="mark-check" d="m7.600 12.400 3 3 5.800-6.300" pathLength={1} />;
    case "failed":
      return <path d="M12 7.400v5.600M12 16.400v.100" />;
    case "cancelled":
      return <path d="M8 12h8" />;
    case "paused":
      return <path d="M9.800 8.600v6.800M14.200 8.600v6.800" />;
    case "needs-file":
      return <path d="M12 16V8.300M8.600 11.400 12 8l3.400 3.400" />;
    case "uploading":
    case "elsewhere":
    case "starting":
      return <circle class="mark-dot" cx="12" cy="12" r="3.500" />;
    case "processing":
      return <path class="mark-turn" d="M12 7.200a4.800 4.800 0 1 1-4.800 4.800" />;
    case "queued":
    case "retrying":
      return <circle class="mark-still" cx="12" cy="12" r="1.500" />;
  }
}
