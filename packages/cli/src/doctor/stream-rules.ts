/** Rules about the response itself: status, type, caching, compression, silence, its end, resuming. Each: survey → finding or nothing. */
import { showMs, withEvidence, type Finding, type Rule } from "./finding.js";
import { fitIdleProduct } from "./idle-products.js";
import { answered, type StreamObservation, type Survey } from "./observation.js";

/** Every proxy known cuts later than this when nothing comes; 30 s is the shortest default. */
const MAX_SILENCE_MS = 25_000;
/** Events that the origin sent one by one are further apart than a read and the next. */
const LUMP_MS = 5;
const LATE_MS = 1_000;

const refused: Rule = ({ plain }) => {
  const response = answered(plain);
  if (response === undefined || response.status === 200) return undefined;
  const { status, headers } = response;
  const { seen, effect, fix } = REFUSALS.find(({ of }) => of(status)) ?? OTHER_STATUS;
  return {
    id: status === 204 ? "already-over" : "refused",
    severity: status === 204 ? "note" : "fault",
    seen: `status ${status}${headers["location"] === undefined ? "" : ` to ${headers["location"]}`}${seen}`,
    ...withEvidence(headers),
    effect,
    fix: [fix],
  };
};

const OTHER_STATUS = {
  seen: "",
  effect: "A native EventSource stops for good at any status but 200.",
  fix: "the origin or the route: answer 200 with text/event-stream",
} as const;

const REFUSALS: readonly {
  readonly of: (status: number) => boolean;
  readonly seen: string;
  readonly effect: string;
  readonly fix: string;
}[] = [
  {
    of: (status) => status === 204,
    seen: ": there is nothing more to come",
    effect: "EventSource stops, as it should. Nothing else can be measured.",
    fix: "give the doctor a stream that is alive, of a task that has not ended",
  },
  {
    of: (status) => status >= 300 && status < 400,
    seen: "",
    effect:
      "EventSource follows it; on each reconnect again, which costs a round trip, and login pages answer HTML.",
    fix: "the page: use the address it leads to",
  },
  {
    of: (status) => status === 401 || status === 403,
    seen: ": not without credentials",
    effect: "A native EventSource can't send an Authorization header and stops for good.",
    fix: "the doctor: --header 'Authorization: Bearer …'; the page: a cookie, ?token=, or a client that sends headers",
  },
  {
    of: (status) => status === 502 || status === 503 || status === 504,
    seen: ": a proxy could not reach the origin",
    effect: "A native EventSource stops for good: after a deploy nobody comes back without a reload.",
    fix: "nginx: error_page 502 503 504 =200 @retry; location @retry { default_type text/event-stream; return 200 'retry: 2000\\n\\n'; }",
  },
];

const wrongType: Rule = ({ plain }) => {
  const response = answered(plain);
  if (response?.status !== 200) return undefined;
  const type = response.headers["content-type"] ?? "";
  if (/^text\/event-stream *(;|$)/i.test(type)) return undefined;
  return {
    id: "not-a-stream",
    severity: "fault",
    seen: `Content-Type is ${type === "" ? "absent" : type}${/html/i.test(type) ? ": a page, often a login, an error or the app's own fallback" : ""}`,
    ...withEvidence(response.headers),
    effect: "EventSource stops for good.",
    fix: [
      "the origin: Content-Type: text/event-stream",
      "the proxy: route this path to the origin, before the fallback to index.html",
    ],
  };
};

const cacheable: Rule = ({ plain }) => {
  const response = toStream(plain);
  if (response === undefined) return undefined;
  const control = response.headers["cache-control"] ?? "";
  const age = Number(response.headers["age"] ?? 0);
  if (age > 0 || !/no-store|no-cache|private/i.test(control)) {
    return {
      id: "cacheable",
      severity: age > 0 ? "fault" : "risk",
      seen: `Cache-Control is ${control === "" ? "absent" : control}${age > 0 ? `, and Age: ${age} says that a cache answered` : ""}`,
      fits: "Varnish and CDNs give the second client the first one's stream when they may keep it",
      ...withEvidence(response.headers),
      effect: "People see each other's events, or a recording.",
      fix: ["the origin: Cache-Control: no-store, no-transform"],
    };
  }
  return undefined;
};

const compressed: Rule = ({ plain, compressible }) => {
  const response = toStream(compressible);
  const uncompressed = toStream(plain);
  const encoding = response?.headers["content-encoding"] ?? "identity";
  const silent =
    compressible !== undefined && !("status" in compressible) && compressible.code === "NO_HEADERS";
  if (uncompressed === undefined || (encoding === "identity" && !silent)) return undefined;
  const first = response?.events[0]?.atMs;
  const plainFirst = uncompressed.events[0]?.atMs;
  const late = silent || (plainFirst !== undefined && (first === undefined || first > plainFirst + LATE_MS));
  const came = first === undefined ? "no event came" : `its first event came after ${showMs(first)}`;
  const cameHere = plainFirst === undefined ? "none either" : `one after ${showMs(plainFirst)}`;
  return {
    id: late ? "compression-holds-back" : "compressed",
    severity: late ? "fault" : "note",
    seen: `with Accept-Encoding: gzip, br ${silent ? "no header came" : `the stream comes as ${encoding} and ${came}`}; without, ${cameHere}`,
    ...withEvidence(response?.headers),
    effect: late
      ? "A compressor waits until its block is full: events come late or at the end."
      : "It costs CPU for each connection, and each event must be flushed by hand; here it is.",
    fix: [
      "nginx: gzip off; in the location of the stream (gzip_types must not list text/event-stream)",
      "Express: compression({ filter: (req, res) => !/event-stream/.test(res.getHeader('Content-Type')) })",
      "the origin: Cache-Control: no-transform",
    ],
  };
};

const lumps: Rule = ({ plain }) => {
  const response = toStream(plain);
  if (response === undefined || response.events.length < 6) return undefined;
  // What was there before the client came arrives together, and rightly.
  const later = response.events.filter(({ atMs }) => atMs > response.headersMs + LATE_MS);
  const groups: number[] = [];
  let before = Number.NEGATIVE_INFINITY;
  for (const { atMs } of later) {
    if (atMs - before > LUMP_MS) groups.push(0);
    groups[groups.length - 1] = (groups.at(-1) ?? 0) + 1;
    before = atMs;
  }
  const mean = later.length / Math.max(1, groups.length);
  const gaps = later.slice(1).map(({ atMs }, index) => atMs - (later[index]?.atMs ?? atMs));
  const longest = Math.max(0, ...gaps);
  if (later.length < 8 || mean < 4 || longest < LATE_MS) return undefined;
  return {
    id: "buffered",
    severity: "fault",
    seen: `${later.length} events came in ${groups.length} lumps, up to ${showMs(longest)} apart, of ${showSizes(response)}`,
    fits: "a proxy that passes a response on when its buffer is full (nginx: 4 or 8 KiB pages)",
    ...withEvidence(response.headers),
    effect: "Progress jumps: nothing for seconds, then everything at once.",
    fix: [
      "the origin: X-Accel-Buffering: no",
      "nginx: proxy_buffering off;",
      'lighttpd: server.stream-response-body = 2, proxy.server with "…" => (( … ))',
    ],
  };
};

function showSizes({ reads }: StreamObservation): string {
  const largest = reads.map(({ bytes }) => bytes).toSorted((a, b) => b - a);
  return `up to ${largest[0] ?? 0} B a read`;
}

const headersHeld: Rule = ({ plain }) => {
  const response = toStream(plain);
  if (response === undefined || response.headersMs < LATE_MS) return undefined;
  const firstMs = response.reads[0]?.atMs ?? Number.POSITIVE_INFINITY;
  return {
    id: "headers-late",
    severity: "risk",
    seen: `headers came after ${showMs(response.headersMs)}${firstMs - response.headersMs < 20 ? ", together with the first bytes of the body" : ""}`,
    fits: "nginx over HTTP/2, Caddy with encode, http-proxy and Vite hold headers back until the first byte of the body",
    ...withEvidence(response.headers),
    effect: "onopen comes late, and a client with a deadline for the first byte gives up.",
    fix: ["the origin: write something with the headers, a comment line (: hello) is enough"],
  };
};

const mute: Rule = ({ plain, watchedMs }) => {
  const response = toStream(plain);
  if (response === undefined || response.reads.length > 0 || response.end.kind !== "left") return undefined;
  return {
    id: "mute",
    severity: "fault",
    seen: `200 and headers after ${showMs(response.headersMs)}, then not one byte for ${showMs(watchedMs - response.headersMs)}`,
    fits: "a proxy that holds the body back until its end (lighttpd, a compressor, Express compression), or an origin that says nothing",
    ...withEvidence(response.headers),
    effect: "The page believes that it is connected and hears nothing, ever.",
    fix: [
      "ask the origin itself, past the proxy: if events come, it is the proxy",
      "nginx: proxy_buffering off; proxy_http_version 1.1;",
      "lighttpd: server.stream-response-body = 2",
      "the origin: X-Accel-Buffering: no, Cache-Control: no-store, no-transform, a first event at once and a heartbeat every 10 s",
    ],
  };
};

const noHeartbeat: Rule = ({ plain, watchedMs }) => {
  const response = toStream(plain);
  if (response === undefined || response.reads.length === 0) return undefined;
  const silence = longestSilence(response);
  if (silence < MAX_SILENCE_MS || watchedMs < MAX_SILENCE_MS) return undefined;
  return {
    id: "no-heartbeat",
    severity: "risk",
    seen: `nothing came for ${showMs(silence)}`,
    effect: `A proxy cuts what is silent (from 30 s on), and a client can't tell a quiet stream from a dead one.`,
    fix: ["the origin: a comment line or a heartbeat event every 10 s"],
  };
};

const cut: Rule = (survey) => {
  const response = toStream(survey.plain);
  if (response === undefined || response.end.kind === "left") return cutHttp2(survey);
  const { end } = response;
  const silent = end.atMs - (response.reads.at(-1)?.atMs ?? response.headersMs);
  const product = fitIdleProduct(silent);
  if (product !== undefined) return idleCut(response, silent, product);
  if (end.kind === "ended") return undefined;
  return {
    id: "unclean-end",
    severity: "fault",
    seen: `the connection was cut after ${showMs(end.atMs)}, ${showMs(silent)} after the last byte, in the middle of the response`,
    ...withEvidence(response.headers),
    effect:
      "Browsers log ERR_INCOMPLETE_CHUNKED_ENCODING, over HTTP/2 ERR_HTTP2_PROTOCOL_ERROR, and reconnect.",
    fix: [
      "the origin: end responses (response.end()) rather than destroy sockets; no request or write deadline on streams",
      "a restart: tell clients when to come back, end their responses, then go (holdfast does at SIGTERM)",
    ],
  };
};

function idleCut(
  response: StreamObservation,
  silentMs: number,
  { products, fix }: { readonly products: string; readonly fix: readonly string[] },
): Finding {
  return {
    id: "idle-cut",
    severity: "fault",
    seen: `the stream was ${response.end.kind} after ${showMs(silentMs)} of silence`,
    fits: products,
    ...withEvidence(response.headers),
    effect: "Every stream that is quiet for so long is cut, again and again.",
    fix: ["the origin: a heartbeat every 10 s keeps it open everywhere", ...fix],
  };
}

function cutHttp2({ http2, plain }: Survey): Finding | undefined {
  const response = toStream(http2);
  if (response?.end.kind !== "reset" || toStream(plain) === undefined) return undefined;
  const silent = response.end.atMs - (response.reads.at(-1)?.atMs ?? response.headersMs);
  return {
    id: "http2-reset",
    severity: "fault",
    seen: `over HTTP/2 the stream was reset with ${response.end.code} after ${showMs(response.end.atMs)}, ${showMs(silent)} after the last byte; over HTTP/1.1 it went on`,
    ...withEvidence(response.headers),
    effect: "Chrome shows ERR_HTTP2_PROTOCOL_ERROR.",
    fix: ["the proxy: its timeouts for HTTP/2 streams; the origin: a heartbeat every 10 s, and clean ends"],
  };
}

const sameAge: Rule = ({ plain, compressible }) => {
  const one = toStream(plain);
  const two = toStream(compressible);
  if (one === undefined || two === undefined || one.end.kind === "left" || two.end.kind === "left")
    return undefined;
  const [a, b] = [one.end.atMs, two.end.atMs];
  const silent = one.end.atMs - (one.reads.at(-1)?.atMs ?? one.headersMs);
  if (Math.abs(a - b) > 500 || a < 4_000 || silent > LATE_MS * 4 || fitIdleProduct(silent) !== undefined)
    return undefined;
  return {
    id: "age-limit",
    severity: "risk",
    seen: `two streams ended at the same age, ${showMs(a)} and ${showMs(b)}, although bytes were flowing`,
    fits: "an absolute limit on a request: Go's WriteTimeout, gunicorn's --timeout, AWS Lambda and Cloud Run limits, HAProxy's timeout tunnel",
    effect: "Each stream is cut at this age, however busy.",
    fix: ["the server or host: no deadline on streams; else reconnect and resume by id"],
  };
};

const noIds: Rule = ({ plain, resumedFrom }) => {
  const response = toStream(plain);
  if (response === undefined || response.events.length === 0 || resumedFrom !== undefined) return undefined;
  return {
    id: "no-ids",
    severity: "risk",
    seen: `none of ${response.events.length} events has an id`,
    effect: "What is sent while a client is away is lost, and nobody notices.",
    fix: ["the origin: an id: on each event that must not be lost, and replay after Last-Event-ID"],
  };
};

const resumeFails: Rule = ({ resumed, resumedFrom }) => {
  if (resumed === undefined) return undefined;
  const response = answered(resumed);
  if (response !== undefined && (response.status === 200 || response.status === 204)) return undefined;
  return {
    id: "resume-fails",
    severity: "fault",
    seen: `with Last-Event-ID: ${resumedFrom ?? ""} the answer was ${response === undefined ? "none" : `status ${response.status}`}`,
    effect: "Who loses the connection once never comes back.",
    fix: [
      "the origin: take any Last-Event-ID, also one it does not know",
      "from another origin: Access-Control-Allow-Headers: Last-Event-ID",
    ],
  };
};

const heartbeatLate: Rule = ({ plain }) => {
  const response = toStream(plain);
  if (response === undefined) return undefined;
  const announced = Number(/"heartbeatMs": ?(\d+)/.exec(response.events[0]?.data ?? "")?.[1] ?? Number.NaN);
  const beats = response.events.filter(({ event }) => event === "heartbeat");
  if (Number.isNaN(announced) || beats.length < 2) return undefined;
  const worst =
    Math.max(...beats.slice(1).map(({ atMs }, index) => atMs - (beats[index]?.atMs ?? atMs))) - announced;
  if (worst < LATE_MS) return undefined;
  return {
    id: "heartbeat-late",
    severity: "risk",
    seen: `a heartbeat announced for every ${showMs(announced)} came ${showMs(worst)} late`,
    effect: "A client that waits two and a half heartbeats comes near to giving up a living connection.",
    fix: [
      "the server: an event loop that is blocked, see holdfast_event_loop_lag; the way between: a buffer, see other findings",
    ],
  };
};

/** A 200 that is a stream of events. */
function toStream(seen: Survey["plain"]): StreamObservation | undefined {
  const response = answered(seen);
  return response?.status === 200 && /^text\/event-stream/i.test(response.headers["content-type"] ?? "")
    ? response
    : undefined;
}

function longestSilence({ reads, headersMs, end }: StreamObservation): number {
  const times = [headersMs, ...reads.map(({ atMs }) => atMs), end.atMs];
  return Math.max(...times.slice(1).map((atMs, index) => atMs - (times[index] ?? atMs)));
}

export const STREAM_RULES: readonly Rule[] = [
  refused,
  wrongType,
  mute,
  cut,
  lumps,
  compressed,
  cacheable,
  headersHeld,
  sameAge,
  noHeartbeat,
  heartbeatLate,
  noIds,
  resumeFails,
];
