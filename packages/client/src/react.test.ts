import { createElement, StrictMode, type FunctionComponent } from "react";
import { renderToString } from "react-dom/server";
import { expect, test, vi } from "vitest";
import { HoldfastProvider, useConnection, useTask, useUpload, type Watcher } from "./react.js";
import type { UploadHandle } from "./upload-handle.js";

test("on a server nothing is opened, and the page says what it knows: nothing yet", () => {
  const watchTask = vi.fn<Watcher["watchTask"]>();
  const subscribe = vi.fn<UploadHandle["subscribe"]>();
  const handle: Pick<UploadHandle, "subscribe"> = { subscribe };
  const Row: FunctionComponent = () => {
    const { task, ending, error } = useTask("t1");
    const connection = useConnection("t1");
    const { state, stored } = useUpload(handle as UploadHandle);
    return createElement("p", null, JSON.stringify({ task, ending, error, connection, state, stored }));
  };
  const row = createElement(HoldfastProvider, { watcher: { watchTask } }, createElement(Row));
  const html = renderToString(createElement(StrictMode, null, row));
  expect(html.replaceAll("&quot;", '"')).toBe(
    '<p>{"task":null,"ending":null,"error":null,"connection":null,"state":"starting","stored":0}</p>',
  );
  expect(watchTask).not.toHaveBeenCalled();
  expect(subscribe).not.toHaveBeenCalled();
});
