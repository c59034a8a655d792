/**
 * Where the page is put together: token, API, batch, board, then the view. Everything that touches the browser's globals is named here
 * and handed down, so that the model below runs without a browser.
 */
import { computed, effect, signal } from "@preact/signals";
import { HoldfastApi } from "@holdfast/client";
import { createSharedStreams } from "@holdfast/client/shared";
import { upload } from "@holdfast/client/upload";
import { render } from "preact";
import { readToken, toAuthorization, toScope, toTokenLink } from "./model/access-token.js";
import { BatchSession } from "./model/batch-session.js";
import { Board } from "./model/board.js";
import { createFormatters } from "./model/formatters.js";
import { openPageStorage } from "./model/page-storage.js";
import { Preferences } from "./model/preferences.js";
import { toProtocolName } from "./model/protocol-name.js";
import { createTaskKey } from "./model/task-key.js";
import { toWatchCommand } from "./model/watch-command.js";
import { Page } from "./view/page.js";
import { SurroundingsContext } from "./view/surroundings.js";
import { listenForDrops } from "./view/window-drop.js";
import { WORDS } from "./words/words.js";

const page = new URL(".", location.href);
// Relative to the page, so that any base path works.
const baseUrl = new URL("api/v1", page).href;
const storage = openPageStorage(() => localStorage, page.pathname);
const session = openPageStorage(() => sessionStorage, page.pathname);
const token = readToken(location.hash, session, (rest) => {
  history.replaceState(history.state, "", `${location.pathname}${location.search}${rest}`);
});
const headers = toAuthorization(token);
const now = (): number => Date.now();
const setTimer = (act: () => void, delayMs: number): void => void setTimeout(act, delayMs);

const clock = signal(now());
setInterval(() => (clock.value = now()), 1000);
const online = signal(navigator.onLine);
addEventListener("online", () => (online.value = true));
addEventListener("offline", () => (online.value = false));

const api = new HoldfastApi({ baseUrl, headers });
// All tabs show the same batch, and the browser grants them six connections together.
const streams = createSharedStreams({ baseUrl, headers, scope: toScope(token) ?? createTaskKey() });
const batchSession = new BatchSession({
  createBatch: async () => (await api.createBatch()).batchId,
  watch: (batchId) => streams.watchBatch(batchId),
  storage,
  now,
  setTimer,
});
const board = new Board({
  session: batchSession,
  api,
  upload: (file, options) => upload(file, { ...options, baseUrl, headers }),
  storage,
  clock,
  online,
  createId: createTaskKey,
  setTimer,
});
const preferences = new Preferences(storage, navigator.languages);
const words = computed(() => WORDS[preferences.language.value]);
const formatters = computed(() => createFormatters(words.value.locale));
const dragging = signal(false);

effect(() => {
  document.documentElement.lang = words.value.locale;
  document.documentElement.dataset["theme"] = preferences.theme.value;
});
effect(() => {
  const { kind, percentage, failed } = board.overall.value;
  const { titleMoving, titleDone, titleFailed } = words.value;
  if (kind === "empty") document.title = "Holdfast";
  else if (kind !== "done") document.title = titleMoving(formatters.value.percent(percentage ?? 0));
  else document.title = failed === 0 ? titleDone : titleFailed(failed);
});
listenForDrops(window, {
  onDragging: (is) => (dragging.value = is),
  onFiles: (files) => board.add(files),
  onFolders: () => (board.notice.value = "folders-skipped"),
});
batchSession.start();

const root = document.getElementById("page");
const navigation = performance.getEntriesByType("navigation")[0];
const alpn = navigation instanceof PerformanceNavigationTiming ? navigation.nextHopProtocol : undefined;
if (root !== null) {
  render(
    <SurroundingsContext.Provider
      value={{
        board,
        preferences,
        words,
        formatters,
        clock,
        dragging,
        toDownloadUrl: (contentUrl) => toTokenLink(new URL(contentUrl, baseUrl).href, token),
        toCommand: (batchId) => toWatchCommand(`${baseUrl}/batches/${batchId}/stream`, token !== null),
        protocol: toProtocolName(alpn),
      }}
    >
      <Page />
    </SurroundingsContext.Provider>,
    root,
  );
}
