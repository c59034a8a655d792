/**
 * The connections that speak HTTP/2: how much each may hold, what it may not do, and how it ends.
 *
 * Promises
 * - An upload is not slowed by its round trip: a stream's window holds what a fast long line has under way. The connection's window is
 *   that of several streams, so that one that nobody reads does not stop the others.
 * - `MAX_STREAMS` streams a connection, each bounded as over HTTP/1.1; a peer that floods (resets, PINGs, SETTINGS) is sent away with
 *   GOAWAY ENHANCE_YOUR_CALM. What no stream comes of is bounded by Node: heads, CONTINUATION, frames that are invalid.
 * - A connection without a stream is closed after `idleTimeoutMs`, and after `headerTimeoutMs` when it never had one.
 * - [wire: clean-ends] `close()` says GOAWAY, lets streams end, and after that lets go.
 * Refuses: to choose between the versions (http2-choice.ts). Called by: the listener.
 */
import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { HoldfastSettings } from "../options.js";
import { Http2Budget } from "./http2-budget.js";

const MIB = 1_048_576;
// 320 MB/s at a round trip of 50 ms; Node's own 64 KiB would be 1.3. Held in memory only as far as the disk does not keep up.
const STREAM_WINDOW_BYTES = 16 * MIB;
const CONNECTION_WINDOW_BYTES = 2 * STREAM_WINDOW_BYTES;
// A page may keep a hundred streams open and still make its other requests; [rfc9113 §6.5.2] asks for a hundred at least.
const MAX_STREAMS = 250;
// As for streams of HTTP/1.1: a vanished peer is found by the kernel, even if heartbeats are off.
const KEEP_ALIVE_PROBE_MS = 30_000;
// As over HTTP/1.1.
const MAX_HEAD_BYTES = 16_384;

export type Http2Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

export class Http2Sessions {
  readonly #server: Http2Server;
  readonly #settings: HoldfastSettings;
  readonly #logger: Logger;
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(settings: HoldfastSettings, logger: Logger, handler: Http2Handler) {
    this.#settings = settings;
    this.#logger = logger;
    this.#server = createServer(
      {
        settings: {
          initialWindowSize: STREAM_WINDOW_BYTES,
          maxConcurrentStreams: MAX_STREAMS,
          maxHeaderListSize: MAX_HEAD_BYTES,
        },
        // All streams at their bounds at once, and as much again for what Node keeps of each.
        maxSessionMemory: Math.ceil((2 * MAX_STREAMS * settings.maxQueueBytes) / MIB),
      },
      handler,
    );
    this.#server.on("session", (session) => this.#watch(session));
    this.#server.on("sessionError", (error: NodeJS.ErrnoException) =>
      this.#logger.debug({ code: error.code, reason: error.message }, "a connection of HTTP/2 was cut"),
    );
  }

  /** Takes a connection whose client speaks HTTP/2. */
  accept(socket: Socket): void {
    // As HTTP/1.1 wants it; here a peer that has closed its side says nothing more, and what it was sending must end.
    socket.allowHalfOpen = false;
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    this.#server.emit("connection", socket);
  }

  /** GOAWAY to all; each connection closes when its last stream has ended. */
  close(): void {
    // Some may have connected and not yet spoken.
    this.#server.on("session", (session) => session.close());
    for (const session of this.#sessions) session.close();
  }

  #watch(session: ServerHttp2Session): void {
    const { headerTimeoutMs, idleTimeoutMs } = this.#settings;
    this.#sessions.add(session);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    let streams = 0;
    let idle = setTimeout(() => session.close(), headerTimeoutMs);
    session.on("stream", (stream) => {
      streams += 1;
      clearTimeout(idle);
      stream.once("close", () => {
        streams -= 1;
        if (streams === 0 && !session.closed && !session.destroyed)
          idle = setTimeout(() => session.close(), idleTimeoutMs);
        if (isCut(stream)) spend();
      });
    });
    const budget = new Http2Budget(performance.now());
    const spend = (): void => {
      if (session.destroyed || budget.spend(performance.now())) return;
      this.#logger.warn("a connection of HTTP/2 was cut for flooding: too many resets, PINGs or SETTINGS");
      session.destroy(new Error("flooded"), constants.NGHTTP2_ENHANCE_YOUR_CALM);
    };
    session.on("ping", spend).on("remoteSettings", spend);
    session.once("close", () => {
      clearTimeout(idle);
      this.#sessions.delete(session);
    });
  }
}

/** Ended by a reset, of whichever side; one that was sent to HTTP/1.1 has done nothing wrong. */
function isCut({
  aborted,
  rstCode,
}: {
  readonly aborted: boolean;
  readonly rstCode?: number | undefined;
}): boolean {
  if (rstCode === constants.NGHTTP2_HTTP_1_1_REQUIRED) return false;
  return aborted || (rstCode ?? 0) !== constants.NGHTTP2_NO_ERROR;
}
