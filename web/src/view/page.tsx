import type { JSX } from "preact";
import { ConnectionPill } from "./connection-pill.js";
import { DropZone } from "./drop-zone.js";
import { LiveRegion } from "./live-region.js";
import { NoticeBar } from "./notice-bar.js";
import { Overall } from "./overall.js";
import { useSurroundings } from "./surroundings.js";
import { TaskList } from "./task-list.js";
import { TerminalHint } from "./terminal-hint.js";
import { LanguageToggle, ThemeToggle } from "./toggles.js";

export function Page(): JSX.Element {
  const { board, words, dragging } = useSurroundings();
  const empty = board.rows.value.length === 0;
  return (
    <div class="page" data-empty={empty} data-dragging={dragging}>
      <header class="masthead">
        <span class="logo" aria-hidden="true" />
        <h1 class="wordmark">Holdfast</h1>
        <p class="tagline">{words.value.tagline}</p>
        <ConnectionPill />
        <div class="toggles">
          <LanguageToggle />
          <ThemeToggle />
        </div>
      </header>
      <main class="main">{empty ? <Welcome /> : <Busy />}</main>
      <NoticeBar />
      <LiveRegion />
      <div class="curtain" aria-hidden="true">
        <p>{words.value.dropNow}</p>
      </div>
    </div>
  );
}

function Welcome(): JSX.Element {
  const { words } = useSurroundings();
  return (
    <div class="welcome">
      <div class="welcome-text">
        <h2>{words.value.emptyTitle}</h2>
        <p>{words.value.emptyText}</p>
        <DropZone />
      </div>
      <div class="welcome-mark" aria-hidden="true" />
      <TerminalHint />
    </div>
  );
}

function Busy(): JSX.Element {
  return (
    <div class="busy">
      <div class="side">
        <Overall />
        <DropZone />
        <TerminalHint />
      </div>
      <TaskList />
    </div>
  );
}
