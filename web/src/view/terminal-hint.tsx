import type { JSX } from "preact";
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { useSurroundings } from "./surroundings.js";

const COPIED_MS = 2000;

/** The same stream for whoever lives in a terminal. */
export function TerminalHint(): JSX.Element | null {
  const { board, words, toCommand } = useSurroundings();
  const copied = useSignal(false);
  const line = useRef<HTMLElement>(null);
  const batchId = board.batchId.value;
  if (batchId === null) return null;
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(toCommand(batchId));
      copied.value = true;
      setTimeout(() => (copied.value = false), COPIED_MS);
    } catch {
      // No clipboard beyond https and localhost: selected, it is one key away.
      if (line.current !== null) getSelection()?.selectAllChildren(line.current);
    }
  };
  return (
    <div class="terminal">
      <h2 class="terminal-title">{words.value.terminal}</h2>
      <div class="terminal-line">
        <code ref={line} data-testid="watch-command" tabIndex={0}>
          {toCommand(batchId)}
        </code>
        <button type="button" class="quiet" data-testid="copy-command" onClick={() => void copy()}>
          {copied.value ? words.value.copied : words.value.copy}
        </button>
      </div>
    </div>
  );
}
