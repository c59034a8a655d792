import type { JSX, TargetedEvent } from "preact";
import { useRef } from "preact/hooks";
import { useSurroundings } from "./surroundings.js";

/** The button for whoever does not drag; dropping works on the whole window, see window-drop.ts. */
export function DropZone(): JSX.Element {
  const { board, words } = useSurroundings();
  const input = useRef<HTMLInputElement>(null);
  // Who may not upload is told so where the button would be, not after a wait that never ends.
  if (board.connection.value.state === "refused") {
    return (
      <p class="drop-refused" data-testid="drop-refused">
        {words.value.connectionText.refused}
      </p>
    );
  }
  const take = ({ currentTarget }: TargetedEvent<HTMLInputElement>): void => {
    board.add([...(currentTarget.files ?? [])]);
    // Else choosing the same file again would be no change.
    currentTarget.value = "";
  };
  return (
    <div class="drop" data-testid="drop-zone">
      <button type="button" class="solid" data-testid="choose-files" onClick={() => input.current?.click()}>
        {words.value.chooseFiles}
      </button>
      <span class="drop-hint">{words.value.dropMore}</span>
      <input
        ref={input}
        class="visually-hidden"
        type="file"
        multiple
        tabIndex={-1}
        aria-hidden="true"
        data-testid="file-input"
        onChange={take}
      />
    </div>
  );
}
