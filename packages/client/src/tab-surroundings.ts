import { UNREF_ENVIRONMENT } from "./environment.js";
import type { TabSurroundings } from "./shared-tab.js";
import type { ChannelMessage } from "./tab-message.js";

/** The browser's own. Web Locks are there on secure origins only, localhost among them; elsewhere a tab has no others. */
export function readTabSurroundings(): TabSurroundings {
  const locks = typeof navigator === "undefined" ? undefined : navigator.locks;
  return {
    // What waits for an ending keeps a Node process alive, not who asks how the others are.
    environment: UNREF_ENVIRONMENT,
    locks,
    openChannel: typeof BroadcastChannel === "undefined" ? undefined : openChannel,
    listenForRest,
  };
}

function openChannel(name: string, hear: (message: ChannelMessage) => void) {
  const channel = new BroadcastChannel(name);
  channel.addEventListener("message", ({ data }: MessageEvent<ChannelMessage>) => hear(data));
  // In Node a channel would keep the process alive; what waits for an ending does that where it is wanted.
  const unref: unknown = Reflect.get(channel, "unref");
  if (typeof unref === "function") Reflect.apply(unref, channel, []);
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel is of one origin
    post: (message: ChannelMessage) => channel.postMessage(message),
    close: () => channel.close(),
  };
}

/** [Page Lifecycle] a page that holds a lock is not put to rest by every browser, so it lets go by itself. */
function listenForRest(rest: () => void, wake: () => void): () => void {
  if (typeof document === "undefined") return () => undefined;
  const released = new AbortController();
  const { signal } = released;
  globalThis.addEventListener("pagehide", rest, { signal });
  globalThis.addEventListener("pageshow", wake, { signal });
  document.addEventListener("freeze", rest, { signal });
  document.addEventListener("resume", wake, { signal });
  return () => released.abort();
}
