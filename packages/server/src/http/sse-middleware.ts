/**
 * Makes a response a stream: headers, no deadlines, and one log line at its begin and one at its end.
 *
 * For Connect and Express `(req, res, next)`, over HTTP/1.1 and HTTP/2; the server uses it itself. Refuses nothing: whether a
 * stream may begin is decided before.
 */
import { STREAM_HEADERS } from "@holdfast/protocol";
import { onResponseClose } from "@holdfast/stream";
import type { NodeRequest, NodeResponse } from "./http2-stream.js";

/** A pino logger is one. */
export interface LineLogger {
  info(line: object, message: string): void;
}

export interface SseMiddlewareOptions {
  /** Undefined: no log. */
  readonly logger?: LineLogger | undefined;
}

/** What only the writer of the stream knows about its end. */
export interface StreamEnd {
  readonly reason: string;
  readonly events: number;
  readonly bytes: number;
}

export type ConnectMiddleware = (
  request: NodeRequest,
  response: NodeResponse,
  next: (error?: unknown) => void,
) => void;

const ends = new WeakMap<NodeResponse, StreamEnd>();

// A vanished peer of a silent stream is found by the kernel after this plus its probes, even if heartbeats are off.
const KEEP_ALIVE_PROBE_MS = 30_000;

/** Tells the log line of this response's end; without it the line has only what the response itself shows. */
export function describeStreamEnd(response: NodeResponse, end: StreamEnd): void {
  ends.set(response, end);
}

export function sseMiddleware(options: SseMiddlewareOptions = {}): ConnectMiddleware {
  const { logger } = options;
  return (request, response, next) => {
    for (const [name, value] of Object.entries(STREAM_HEADERS)) response.setHeader(name, value);
    response.removeHeader("Content-Length");
    request.setTimeout(0);
    response.setTimeout(0);
    // HTTP/2 has no socket of its own; its session's is nobody's to change.
    if (request.httpVersionMajor < 2) {
      request.socket.setNoDelay(true);
      request.socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    }
    if (logger !== undefined) logStream(logger, request, response);
    next();
  };
}

function logStream(logger: LineLogger, request: NodeRequest, response: NodeResponse): void {
  const openedAtMs = performance.now();
  const line = { method: request.method, path: toLoggedPath(request) };
  logger.info(line, "stream opened");
  onResponseClose(response, () => {
    // After every other listener: the writer describes the end in one of them.
    queueMicrotask(() => {
      const end = ends.get(response);
      logger.info(
        {
          ...line,
          status: response.statusCode,
          durationMs: Math.round(performance.now() - openedAtMs),
          reason: end?.reason ?? (response.writableFinished ? "ended" : "peer-gone"),
          ...(end !== undefined && { events: end.events, bytes: end.bytes }),
        },
        "stream ended",
      );
    });
  });
}

/** The path without its query: that may hold a token. */
export function toLoggedPath(request: NodeRequest): string {
  const { originalUrl } = request as { originalUrl?: string };
  return (originalUrl ?? request.url ?? "").split("?", 1)[0] ?? "";
}
