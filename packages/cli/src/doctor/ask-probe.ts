/**
 * Questions that only a cooperating server can answer, over its probe routes (`holdfast serve --probe`): how late an event is, whether headers
 * go out alone, what part of an upload has arrived, when a lost client is noticed, whether two clients share one stream.
 *
 * Undefined when the server has no such routes, or when they broke on the way. Called by: survey.ts.
 */
import { randomUUID } from "node:crypto";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import type { ProbeFacts, StreamObservation } from "./observation.js";
import { watchResponse } from "./watch-response.js";

interface ProbeOptions {
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  readonly tell: (step: string) => void;
}

const INTERVAL_MS = 500;
const EVENTS = 8;
const SILENT_MS = 2_000;
const HALF_BYTES = 131_072;
const GONE_WAIT_MS = 12_000;
const ANSWER_MS = 10_000;

export async function askProbe({ url, headers, tell }: ProbeOptions): Promise<ProbeFacts | undefined> {
  const api = /^(.*\/api\/v1\/)/.exec(url.pathname)?.[1];
  if (api === undefined) return undefined;
  const probe = new ProbeClient(new URL(`${api}probe/`, url), headers);
  const offsetMs = await probe.clockOffset();
  if (offsetMs === undefined) return undefined;
  tell("asking the server's probe");
  try {
    const shared = `streams/${randomUUID()}`;
    const [stream, silent, first, second, upload, goneNoticedMs] = await Promise.all([
      probe.watch(
        `streams/${randomUUID()}?interval=${INTERVAL_MS}&count=${EVENTS}`,
        INTERVAL_MS * EVENTS * 2,
      ),
      probe.watch(`streams/${randomUUID()}?silent=${SILENT_MS}&count=1`, SILENT_MS * 3),
      probe.watch(`${shared}?count=1`, SILENT_MS),
      probe.watch(`${shared}?count=1`, SILENT_MS),
      probe.upload(`uploads/${randomUUID()}`),
      probe.leave(`streams/${randomUUID()}`),
    ]);
    return {
      delaysMs: stream.events.flatMap(({ atMs, data }) => {
        const sentAtMs = readNumber(data, "sentAtMs");
        return sentAtMs === undefined ? [] : [stream.startedAtMs + atMs + offsetMs - sentAtMs];
      }),
      intervalMs: INTERVAL_MS,
      headersMs: silent.headersMs,
      silentMs: SILENT_MS,
      streamIds: [readStreamId(first), readStreamId(second)],
      ...upload,
      goneNoticedMs,
      goneWaitedMs: GONE_WAIT_MS,
    };
  } catch {
    return undefined;
  }
}

class ProbeClient {
  readonly #base: URL;
  readonly #headers: { readonly [name: string]: string };

  constructor(base: URL, headers: { readonly [name: string]: string }) {
    this.#base = base;
    this.#headers = headers;
  }

  /** Server's clock minus ours: of five questions the one that was answered fastest is the most exact. */
  async clockOffset(): Promise<number | undefined> {
    let best: { readonly tripMs: number; readonly offsetMs: number } | undefined;
    for (let question = 0; question < 5; question += 1) {
      const sentAtMs = now();
      // oxlint-disable-next-line no-await-in-loop -- one after another, so that none waits behind the next
      const answer = await this.#ask("");
      const tripMs = now() - sentAtMs;
      const timeMs = answer === undefined ? undefined : readNumber(answer, "timeMs");
      if (timeMs === undefined) return undefined;
      if (best === undefined || tripMs < best.tripMs)
        best = { tripMs, offsetMs: timeMs - (sentAtMs + tripMs / 2) };
    }
    return best?.offsetMs;
  }

  async watch(path: string, forMs: number): Promise<StreamObservation & { readonly startedAtMs: number }> {
    const startedAtMs = now();
    const seen = await watchResponse({
      url: new URL(path, this.#base),
      protocol: "http/1.1",
      headers: { Accept: "text/event-stream", ...this.#headers },
      forMs,
    });
    if (!("status" in seen) || seen.status !== 200) throw new Error(`the probe did not answer on ${path}`);
    return { ...seen, startedAtMs };
  }

  /** Half of a body, a look at what has arrived, the other half. */
  async upload(
    path: string,
  ): Promise<Pick<ProbeFacts, "uploadSeenBytes" | "uploadSentBytes" | "uploadStatus">> {
    const url = new URL(path, this.#base);
    const open = url.protocol === "https:" ? httpsRequest : httpRequest;
    const half = Buffer.alloc(HALF_BYTES, 0x61);
    const request = open(url, {
      method: "POST",
      agent: false,
      rejectUnauthorized: false,
      timeout: ANSWER_MS,
      headers: {
        ...this.#headers,
        "Content-Type": "application/octet-stream",
        "Content-Length": String(2 * HALF_BYTES),
      },
    });
    const answered = new Promise<number>((resolve) => {
      request.on("response", (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      request.on("timeout", () => request.destroy());
      request.on("error", () => resolve(0));
    });
    request.write(half);
    await pause(1_000);
    const seen = readNumber((await this.#ask(path)) ?? "{}", "bytes") ?? 0;
    request.end(half);
    return { uploadSeenBytes: seen, uploadSentBytes: HALF_BYTES, uploadStatus: await answered };
  }

  /** Opens a stream that speaks every half second, leaves it, and asks until the server knows. */
  async leave(path: string): Promise<number | undefined> {
    await watchResponse({
      url: new URL(`${path}?interval=${INTERVAL_MS}&count=${(GONE_WAIT_MS / INTERVAL_MS) * 2}`, this.#base),
      protocol: "http/1.1",
      headers: { Accept: "text/event-stream", ...this.#headers },
      forMs: SILENT_MS,
      until: (events) => events.length > 0,
    });
    const leftAtMs = now();
    while (now() - leftAtMs < GONE_WAIT_MS) {
      // oxlint-disable-next-line no-await-in-loop -- asked again and again
      const answer = await this.#ask(path);
      if (answer !== undefined && readNumber(answer, "open") === 0) return now() - leftAtMs;
      // oxlint-disable-next-line no-await-in-loop -- and not in haste
      await pause(100);
    }
    return undefined;
  }

  /** The body of a GET that was answered 200 with JSON. */
  async #ask(path: string): Promise<string | undefined> {
    const seen = await watchResponse({
      url: new URL(path, this.#base),
      protocol: "http/1.1",
      headers: { Accept: "application/json", ...this.#headers },
      forMs: ANSWER_MS,
    });
    const json = "status" in seen && seen.status === 200 && /json/.test(seen.headers["content-type"] ?? "");
    return json ? seen.body : undefined;
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function readStreamId({ events }: StreamObservation): string {
  const fields = parseObject(events[0]?.data ?? "{}");
  return typeof fields["stream"] === "string" ? fields["stream"] : "";
}

function readNumber(json: string, name: string): number | undefined {
  const value = parseObject(json)[name];
  return typeof value === "number" ? value : undefined;
}

function parseObject(json: string): { readonly [name: string]: unknown } {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
