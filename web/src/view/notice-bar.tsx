import type { JSX } from "preact";
import { useSurroundings } from "./surroundings.js";

/** What went wrong without belonging to a row; stays until it is dismissed. */
export function NoticeBar(): JSX.Element {
  const { board, words } = useSurroundings();
  const notice = board.notice.value;
  return (
    <div class="notice" role="alert" data-testid="notice" data-shown={notice !== null}>
      {notice === null ? null : (
        <>
          <p>{words.value.notice[notice]}</p>
          <button type="button" class="quiet" onClick={() => (board.notice.value = null)}>
            {words.value.dismiss}
          </button>
        </>
      )}
    </div>
  );
}
