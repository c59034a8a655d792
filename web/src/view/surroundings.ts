import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { ReadonlySignal } from "@preact/signals";
import type { Board } from "../model/board.js";
import type { Formatters } from "../model/formatters.js";
import type { Preferences } from "../model/preferences.js";
import type { Words } from "../words/words.js";

/** What every part of the page may ask for. */
export interface Surroundings {
  readonly board: Board;
  readonly preferences: Preferences;
  readonly words: ReadonlySignal<Words>;
  readonly formatters: ReadonlySignal<Formatters>;
  /** Unix milliseconds, once a second. */
  readonly clock: ReadonlySignal<number>;
  readonly dragging: ReadonlySignal<boolean>;
  readonly toDownloadUrl: (contentUrl: string) => string;
  readonly toCommand: (batchId: string) => string;
  /** `HTTP/1.1`; null where the browser does not tell. */
  readonly protocol: string | null;
}

// Read only below the provider that main.tsx sets up; null would mean a part rendered outside the page.
export const SurroundingsContext = createContext<Surroundings | null>(null);

export function useSurroundings(): Surroundings {
  const found = useContext(SurroundingsContext);
  if (found === null) throw new Error("rendered outside of SurroundingsContext");
  return found;
}
