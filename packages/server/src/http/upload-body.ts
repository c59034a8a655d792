/**
 * The bytes of a request: how long they are said to be, whether they came whole, and what becomes of those nobody wants.
 */
import { constants } from "node:http2";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Incoming, IncomingKind } from "../uploads/incoming.js";
import { parseByteCount } from "../uploads/tus-headers.js";
import { toHttp2Stream, type NodeRequest } from "./http2-stream.js";

// A client that is still sending must be able to read why it should stop; after that its socket goes.
const LINGER_MS = 3_000;

/** Content-Length, or null for a body that ends where it ends. Throws INVALID_REQUEST. */
export function readBodyLength(request: FastifyRequest): number | null {
  const text = request.headers["content-length"];
  if (text !== undefined) return parseByteCount("Content-Length", text);
  const stream = toHttp2Stream(request.raw);
  const hasBody =
    stream === undefined ? request.headers["transfer-encoding"] !== undefined : !stream.endAfterHeaders;
  return hasBody ? null : 0;
}

/** The whole body of the request, for `Uploads`. */
export function toIncoming(
  request: FastifyRequest,
  kind: IncomingKind,
  offset: number,
  total: number | null = null,
): Incoming {
  const { raw } = request;
  return { kind, source: raw, offset, length: readBodyLength(request), total, isWhole: () => isWhole(raw) };
}

/** [rfc9112 §8] a message is whole when all that its framing announced has come. */
function isWhole(raw: NodeRequest): boolean {
  return raw.readableEnded && !wasCut(raw);
}

/**
 * Whether a request that is over ended before its framing did. Over HTTP/2 Node ends one that was reset like one that came whole, and
 * calls both complete; only the stream knows.
 */
export function wasCut(raw: NodeRequest): boolean {
  return toHttp2Stream(raw)?.aborted ?? !raw.complete;
}

/**
 * Answers a body that nobody reads to its end: the answer goes out, what still comes is dropped, then the socket is let go.
 * To be called before the head of the answer is sent.
 */
export function lingerAfter(reply: FastifyReply): void {
  const { raw } = reply.request;
  if (raw.complete) return;
  const stream = toHttp2Stream(raw);
  if (stream !== undefined) {
    // [wire: early-answer] [rfc9113 §8.1] the answer is sent whole, then the client is asked to stop sending; only its stream ends.
    if (!stream.endAfterHeaders) stream.once("finish", () => stream.close(constants.NGHTTP2_NO_ERROR));
    return;
  }
  const { socket } = raw;
  const destroySoon = socket.destroySoon.bind(socket);
  // With `Connection: close` Node would close the socket behind the answer; a socket closed with bytes unread is reset, and a
  // reset takes the answer away from the client that is still sending. [rfc9112 §9.6] closes for sending first.
  socket.destroySoon = () => socket.end();
  reply.raw.once("finish", () => {
    if (raw.complete) return settle();
    raw.unpipe();
    raw.resume();
    const timer = setTimeout(() => raw.destroy(), LINGER_MS);
    raw
      .once("close", () => clearTimeout(timer))
      .once("end", () => {
        clearTimeout(timer);
        settle();
      });
    raw.on("error", () => undefined); // the peer went first, which is as good
  });

  function settle(): void {
    socket.destroySoon = destroySoon;
    if (socket.writableEnded) destroySoon();
  }
}
