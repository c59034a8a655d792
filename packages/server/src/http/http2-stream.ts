/**
 * The stream of HTTP/2 behind a request or its response, which Node's types for `(req, res)` do not know.
 *
 * Called by: whoever does over HTTP/1.1 with the socket what is a stream's matter over HTTP/2.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  constants,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from "node:http2";

export type NodeRequest = IncomingMessage | Http2ServerRequest;
export type NodeResponse = ServerResponse | Http2ServerResponse;

/** Undefined over HTTP/1.x, and where a host has wrapped what it hands over. */
export function toHttp2Stream(message: NodeRequest | NodeResponse): ServerHttp2Stream | undefined {
  if (!("stream" in message)) return undefined;
  const { stream } = message;
  return typeof stream.close === "function" ? stream : undefined;
}

/** Lets an answer go that is not whole, so that nobody takes it for one that is. */
export function endEarly(response: NodeResponse): void {
  const stream = toHttp2Stream(response);
  if (stream === undefined) response.destroy();
  // Node's own `destroy` would say NO_ERROR.
  else stream.close(constants.NGHTTP2_CANCEL);
}

/** [wire: answer-taken] An answer of which its client takes nothing for so long is let go. To be called before it is sent. */
export function limitTaking(response: NodeResponse, timeoutMs: number): void {
  const stream = toHttp2Stream(response);
  if (stream === undefined) {
    response.setTimeout(timeoutMs, () => response.destroy());
    return;
  }
  // Node's own timeout of a stream takes the bytes of its neighbours for its own.
  const timer = setTimeout(() => endEarly(response), timeoutMs);
  stream.on("drain", () => timer.refresh());
  for (const over of ["finish", "close"]) stream.once(over, () => clearTimeout(timer));
}
