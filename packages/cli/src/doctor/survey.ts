/**
 * Which looks the doctor takes, in which order, within what time. Judges nothing.
 *
 * Promises: all looks together end within `watchMs` and half a minute; each is told as it begins. What a look needs and does not
 * have (HTTP/2, an id, a probe) is left out, and undefined. Called by: command.ts.
 */
import { setTimeout as pause } from "node:timers/promises";
import { inspectConnection } from "./inspect-connection.js";
import {
  answered,
  type NoResponse,
  type SeenEvent,
  type StreamObservation,
  type Survey,
} from "./observation.js";
import { askProbe } from "./ask-probe.js";
import { watchResponse } from "./watch-response.js";

export interface SurveyOptions {
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  /** How long the stream itself is watched. */
  readonly watchMs: number;
  /** Undefined: whether another site may read the stream is not asked. */
  readonly origin: string | undefined;
  readonly signal?: AbortSignal;
  readonly tell: (step: string) => void;
}

const RESUME_MS = 5_000;
const SHORT_MS = 8_000;
/** Two streams that end at one age, but not at one time, have met a limit; at one time, the end of what they tell. */
const LAG_MS = 2_000;

export async function takeSurvey(options: SurveyOptions): Promise<Survey> {
  const { url, headers, watchMs, origin, signal, tell } = options;
  const base = { Accept: "text/event-stream", "Cache-Control": "no-store", ...headers };
  const stopped = () => signal?.aborted === true;
  const look = async (
    extra: { readonly [name: string]: string },
    forMs: number,
    more: { readonly protocol?: "h2"; readonly until?: (events: readonly SeenEvent[]) => boolean } = {},
  ): Promise<StreamObservation | NoResponse> =>
    await watchResponse({
      url,
      protocol: "http/1.1",
      headers: { ...base, ...extra },
      forMs,
      signal,
      ...more,
    });

  tell(`looking up and connecting to ${url.host}`);
  const connection = await inspectConnection(url);
  const survey: Survey = {
    url: url.href,
    watchedMs: watchMs,
    connection,
    plain: undefined,
    compressible: undefined,
    http2: undefined,
    resumed: undefined,
    resumedFrom: undefined,
    crossOrigin: undefined,
    origin,
    clockSkewMs: undefined,
    probe: undefined,
  };
  if (connection.error !== undefined || stopped()) return survey;

  const sentAtMs = Date.now();
  const offersHttp2 = connection.tls?.alpn === "h2";
  tell(
    `watching the stream for ${Math.round(watchMs / 1_000)} s${offersHttp2 ? ", over HTTP/1.1 and HTTP/2" : ""}`,
  );
  const [plain, compressible, http2, crossOrigin] = await Promise.all([
    look({ "Accept-Encoding": "identity" }, watchMs),
    lag(Math.min(LAG_MS, watchMs / 5), signal).then(
      async () => await look({ "Accept-Encoding": "gzip, br" }, watchMs),
    ),
    offersHttp2 ? look({}, watchMs, { protocol: "h2" }) : undefined,
    origin === undefined
      ? undefined
      : look({ "Accept-Encoding": "identity", Origin: origin }, SHORT_MS, { until: isFirst }),
  ]);
  const seen = answered(plain);
  const lastId = seen?.events.findLast(({ id }) => id !== undefined && id !== "")?.id;
  let resumed: StreamObservation | NoResponse | undefined;
  if (lastId !== undefined && !stopped()) {
    tell("coming back with the last event's id");
    resumed = await look({ "Accept-Encoding": "identity", "Last-Event-ID": lastId }, RESUME_MS, {
      until: isFirst,
    });
  }
  const probe = stopped() ? undefined : await askProbe({ url, headers, tell });
  return {
    ...survey,
    plain,
    compressible,
    http2,
    crossOrigin,
    resumed,
    resumedFrom: lastId,
    clockSkewMs: toClockSkew(seen, sentAtMs),
    probe,
  };
}

async function lag(ms: number, signal: AbortSignal | undefined): Promise<void> {
  await pause(ms, undefined, { ...(signal !== undefined && { signal }) }).catch(() => undefined); // cut short is as good
}

function isFirst(events: readonly SeenEvent[]): boolean {
  return events.length > 0;
}

/** The Date header is cut to seconds: half a second later on average. */
function toClockSkew(seen: StreamObservation | undefined, sentAtMs: number): number | undefined {
  const date = Date.parse(seen?.headers["date"] ?? "");
  return seen === undefined || Number.isNaN(date) ? undefined : date + 500 - (sentAtMs + seen.headersMs);
}
