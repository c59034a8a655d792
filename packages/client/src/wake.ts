const always = (): boolean => true;

/**
 * Calls back when there is reason to look at once: the network is back or another one, the page is shown again, or came out of the
 * back/forward cache. Where there is no window, as in Node, nothing ever fires; waking from sleep is seen by timers, see
 * environment.ts. Returns what stops it.
 */
export function listenForWake(onWake: () => void): () => void {
  const released = new AbortController();
  const { signal } = released;
  const { document: page, navigator: device } = globalThis as {
    document?: Document;
    navigator?: { connection?: object };
  };
  const listenTo = (target: object | undefined, type: string, isReason: (event: Event) => boolean): void => {
    if (target === undefined || !("addEventListener" in target)) return;
    (target as EventTarget).addEventListener(type, (event) => void (isReason(event) && onWake()), { signal });
  };
  listenTo(globalThis, "online", always);
  listenTo(globalThis, "pageshow", (event) => "persisted" in event && event.persisted === true);
  listenTo(device?.connection, "change", always);
  listenTo(page, "visibilitychange", () => page?.visibilityState === "visible");
  return () => released.abort();
}
