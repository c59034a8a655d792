import { readHeaders } from "./request-headers.js";
import type { OpenUpstream, UpstreamRequest } from "./shared-feed.js";
import { StableEventSource } from "./stable-event-source.js";
import { INTERNALS, type StableEventSourceOptions } from "./stream-options.js";
import { toTasksTarget } from "./watch-batch.js";
import type { WatchTarget } from "./watch-core.js";

/** The upstream of a feed is a StableEventSource: whatever one can do on its own, the one for all tabs can. */
export function toOpenUpstream(baseUrl: string, options: StableEventSourceOptions): OpenUpstream {
  return (request, sink) => {
    const { path, body } = toTarget(request);
    const { headers } = options;
    const posted: StableEventSourceOptions = {
      method: "POST",
      body: JSON.stringify(body),
      headers: async () => ({ ...(await readHeaders(headers)), "Content-Type": "application/json" }),
    };
    const source = new StableEventSource(baseUrl + path, {
      ...options,
      // As a watch of its own does: our streams answer polls.
      transports: options.transports ?? ["sse", "poll"],
      ...(body === undefined ? {} : posted),
      lastEventId: request.lastEventId,
      [INTERNALS]: { ...options[INTERNALS], onAny: (event) => sink.message(event) },
    });
    source.addEventListener("state", (info) => {
      // A server's event of that name is not ours.
      if (!("transport" in info)) return;
      sink.state(source.state);
      if (info.state === "closed" && info.reason === "done") sink.over(null);
    });
    source.addEventListener("error", (info) => {
      if (!("terminal" in info) || !info.terminal) return;
      const { terminal, reason, status, problem } = info;
      sink.over({ terminal, reason, status, problem });
    });
    return source;
  };
}

function toTarget({ feed, ids }: UpstreamRequest): WatchTarget {
  return feed === "tasks" ? toTasksTarget(ids) : { path: `/batches/${feed.slice("batch:".length)}/stream` };
}
