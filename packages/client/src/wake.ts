/**
 * Calls back when there is reason to look at once: the network is back, the page is shown again, or came out of the
 * back/forward cache. Where there is no window, as in Node, nothing ever fires. Returns what stops it.
 */
export function listenForWake(onWake: () => void): () => void {
  if (typeof globalThis.addEventListener !== "function") return () => undefined;
  const released = new AbortController();
  const { signal } = released;
  globalThis.addEventListener("online", onWake, { signal });
  globalThis.addEventListener("pageshow", onWake, { signal });
  if (typeof document !== "undefined") {
    const onVisibility = (): void => {
      if (document.visibilityState === "visible") onWake();
    };
    document.addEventListener("visibilitychange", onVisibility, { signal });
  }
  return () => released.abort();
}
