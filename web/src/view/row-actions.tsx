import { useRef } from "preact/hooks";
import type { JSX, TargetedEvent } from "preact";
import type { RowAction, RowView } from "../model/row-view.js";
import { useSurroundings } from "./surroundings.js";

/** After a row is taken away its button can't keep the focus: the list's heading gets it. */
export const LIST_TITLE_ID = "list-title";

export function RowActions({ row, name }: { readonly row: RowView; readonly name: string }): JSX.Element {
  const { words, toDownloadUrl } = useSurroundings();
  const { action: labels, actionOn } = words.value;
  return (
    <div class="row-actions">
      {row.actions.map((action) => {
        const label = labels[action];
        const shared = { "aria-label": actionOn(label, name), "data-testid": `action-${action}` };
        if (action === "choose") return <ChooseButton key={action} row={row} label={label} shared={shared} />;
        if (action === "download") {
          return (
            <a key={action} class="quiet" href={toDownloadUrl(row.contentUrl ?? "")} download="" {...shared}>
              {label}
            </a>
          );
        }
        // One key for both, so that the focus stays where it is when one becomes the other.
        const key = action === "pause" || action === "resume" ? "toggle" : action;
        return <ActButton key={key} row={row} action={action} label={label} shared={shared} />;
      })}
    </div>
  );
}

interface ButtonProps {
  readonly row: RowView;
  readonly label: string;
  readonly shared: { readonly "aria-label": string; readonly "data-testid": string };
}

function ActButton(
  props: ButtonProps & { readonly action: Exclude<RowAction, "choose" | "download"> },
): JSX.Element {
  const { row, action, label, shared } = props;
  const { board } = useSurroundings();
  const act = (): void => {
    void board.act(row.key, action);
    if (action === "remove") document.getElementById(LIST_TITLE_ID)?.focus();
  };
  return (
    <button type="button" class="quiet" data-action={action} onClick={act} {...shared}>
      {label}
    </button>
  );
}

function ChooseButton({ row, label, shared }: ButtonProps): JSX.Element {
  const { board } = useSurroundings();
  const input = useRef<HTMLInputElement>(null);
  const take = ({ currentTarget }: TargetedEvent<HTMLInputElement>): void => {
    const file = currentTarget.files?.item(0);
    if (file) board.choose(row.key, file);
    currentTarget.value = "";
  };
  return (
    <>
      <button
        type="button"
        class="quiet"
        data-action="choose"
        onClick={() => input.current?.click()}
        {...shared}
      >
        {label}
      </button>
      <input
        ref={input}
        class="visually-hidden"
        type="file"
        tabIndex={-1}
        aria-hidden="true"
        data-testid="row-file-input"
        onChange={take}
      />
    </>
  );
}
