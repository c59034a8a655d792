/** Rules about what only a cooperating server shows. Each: survey → finding or nothing. */
import { showMs, type Finding, type Rule } from "./finding.js";
import type { ProbeFacts, Survey } from "./observation.js";

const LATE_MS = 1_000;
/** Nagle's algorithm against delayed acknowledgements: 40 ms on Linux's quick path, 200 ms at worst. */
const NAGLE_MS = { least: 180, most: 240 } as const;
const GONE_MS = 10_000;

const delayed: Rule = withProbe(({ delaysMs, intervalMs }) => {
  const [first = 0] = delaysMs;
  const typical = median(delaysMs);
  if (delaysMs.length < 4 || Math.max(first, typical) < NAGLE_MS.least) return undefined;
  if (mostly(delaysMs, (delay) => delay >= NAGLE_MS.least && delay <= NAGLE_MS.most)) {
    return {
      id: "nagle",
      severity: "risk",
      seen: `each event is ${showMs(typical)} late, all the same`,
      fits: "HAProxy without http-no-delay",
      effect: "Progress is a fifth of a second late, heartbeats too.",
      fix: ["HAProxy: option http-no-delay"],
    };
  }
  // The last event of a series is never held by one that holds each until the next.
  if (mostly(delaysMs.slice(0, -1), (delay) => Math.abs(delay - intervalMs) < intervalMs * 0.2)) {
    return {
      id: "one-behind",
      severity: "fault",
      seen: `each event comes with the next one, ${showMs(typical)} late at an interval of ${showMs(intervalMs)}`,
      fits: "a compressor that flushes when the next write comes (HAProxy's compression)",
      effect: "The last event, the ending, does not come until the connection ends.",
      fix: ["HAProxy: no compression for text/event-stream", "the origin: Cache-Control: no-transform"],
    };
  }
  return first < LATE_MS
    ? undefined
    : {
        id: "held-back",
        severity: "fault",
        seen: `the first of ${delaysMs.length} events was ${showMs(first)} late, the last ${showMs(delaysMs.at(-1) ?? 0)}`,
        fits: "a proxy that holds the response back until its buffer is full or the response ends",
        effect: "Progress jumps from nothing to all; on a quiet stream nothing comes at all.",
        fix: [
          "nginx: proxy_buffering off; proxy_http_version 1.1; and no proxy_ignore_headers X-Accel-Buffering",
          "lighttpd: server.stream-response-body = 2",
          "Express: compression() not for text/event-stream",
        ],
      };
});

const headersHeld: Rule = withProbe(({ headersMs, silentMs }) =>
  headersMs < silentMs - 200
    ? undefined
    : {
        id: "headers-held",
        severity: "note",
        seen: `headers of a stream came after ${showMs(headersMs)}, when its first event did (${showMs(silentMs)})`,
        fits: "nginx over HTTP/2, Caddy with encode, http-proxy, Vite",
        effect: "onopen waits for the first event.",
        fix: ["the origin: write something with the headers; holdfast does"],
      },
);

const shared: Rule = withProbe(({ streamIds: [one, two] }) =>
  one === "" || one !== two
    ? undefined
    : {
        id: "shared-stream",
        severity: "fault",
        seen: "two requests for the same address were given one and the same stream",
        fits: "a cache (Varnish, a CDN) that joins requests although Cache-Control says no-store",
        effect: "People see each other's events.",
        fix: [
          'Varnish: in vcl_recv: if (req.http.Accept ~ "event-stream") { return (pipe); }',
          "a CDN: bypass the cache for this path",
        ],
      },
);

const requestBuffered: Rule = withProbe(({ uploadSeenBytes, uploadSentBytes, uploadStatus }) =>
  uploadStatus === 413 || uploadSeenBytes > 0
    ? undefined
    : {
        id: "request-buffered",
        severity: "risk",
        seen: `a second after ${uploadSentBytes} bytes of a body were sent the server had seen ${uploadSeenBytes}`,
        fits: "nginx and lighttpd, which take a whole body before they ask the origin",
        effect: "An upload stays at 0 % for the server, then jumps; a large one fills the proxy's disk.",
        fix: [
          "nginx: proxy_request_buffering off; proxy_http_version 1.1;",
          "the page: upload in chunks (tus)",
        ],
      },
);

const uploadLimited: Rule = withProbe(({ uploadStatus, uploadSentBytes }) =>
  uploadStatus !== 413
    ? undefined
    : {
        id: "upload-limit",
        severity: "fault",
        seen: `a body of ${2 * uploadSentBytes} bytes was answered 413`,
        fits: "nginx: client_max_body_size (1 MiB unless set)",
        effect: "Larger files can't be uploaded.",
        fix: ["nginx: client_max_body_size 0;", "the page: upload in chunks (tus)"],
      },
);

const goneUnnoticed: Rule = withProbe(({ goneNoticedMs, goneWaitedMs }) =>
  goneNoticedMs !== undefined && goneNoticedMs < GONE_MS
    ? undefined
    : {
        id: "gone-unnoticed",
        severity: "risk",
        seen: `the server had not noticed after ${showMs(goneNoticedMs ?? goneWaitedMs)} that a client was gone`,
        fits: "a proxy that keeps the origin's connection after the client's has ended",
        effect: "Closed tabs hold memory and connections until the proxy's own timeout.",
        fix: ["nginx: proxy_ignore_client_abort off;", "the origin: heartbeats, a greatest age of streams"],
      },
);

function withProbe(rule: (probe: ProbeFacts) => Finding | undefined): Rule {
  return ({ probe }: Survey) => (probe === undefined ? undefined : rule(probe));
}

/** A busy machine makes one or the other late. */
function mostly(values: readonly number[], is: (value: number) => boolean): boolean {
  return values.filter(is).length >= values.length * 0.75;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export const PROBE_RULES: readonly Rule[] = [
  delayed,
  shared,
  requestBuffered,
  uploadLimited,
  goneUnnoticed,
  headersHeld,
];
