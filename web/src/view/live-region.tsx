import { effect, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import {
  describeConnection,
  describeRows,
  mergeAnnouncements,
  type Announcement,
} from "../model/announcements.js";
import type { Words } from "../words/words.js";
import { useSurroundings } from "./surroundings.js";

// Ten files that end together are one sentence, not ten that cut each other off.
const GATHER_MS = 700;

/** Says to a screen reader what changed: added, ended, paused, connection lost and back. */
export function LiveRegion(): JSX.Element {
  const { board, words } = useSurroundings();
  const text = useSignal("");
  useEffect(() => {
    let rows = board.rows.peek();
    let { state } = board.connection.peek();
    let gathered: Announcement[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const gather = (said: readonly Announcement[]): void => {
      if (said.length === 0) return;
      gathered.push(...said);
      timer ??= setTimeout(() => {
        timer = undefined;
        text.value = mergeAnnouncements(gathered)
          .map((one) => toSentence(one, words.peek()))
          .join(" ");
        gathered = [];
      }, GATHER_MS);
    };
    const stopRows = effect(() => {
      gather(describeRows(rows, board.rows.value));
      rows = board.rows.value;
    });
    const stopConnection = effect(() => {
      const next = board.connection.value.state;
      gather(describeConnection(state, next));
      state = next;
    });
    return () => {
      stopRows();
      stopConnection();
      clearTimeout(timer);
    };
  }, [board, words, text]);
  return (
    <p class="visually-hidden" role="status" aria-live="polite" data-testid="live-region">
      {text}
    </p>
  );
}

function toSentence(said: Announcement, words: Words): string {
  switch (said.kind) {
    case "added":
      return words.saidAdded(said.count);
    case "completed":
    case "failed":
    case "cancelled":
    case "paused":
      return words.saidEnding(said.kind, said.names[0] ?? words.unnamed, said.names.length - 1);
    case "connection-lost":
      return words.saidLost;
    case "connection-back":
      return words.saidBack;
  }
}
