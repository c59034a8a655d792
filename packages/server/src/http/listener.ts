/**
 * The server of sockets: HTTP/1.1 alone, or HTTP/2 beside it on the same port; plain or over TLS.
 *
 * Promises
 * - A head that is not whole after `headerTimeoutMs` is answered 408 and closed, also when nothing was ever sent.
 * - There is no deadline on a request as a whole: uploads that move and streams live on. Bodies are bounded where they are read.
 * - What the parser or Node refuses gets a problem document (socket-refusal.ts, message-guard.ts), and what the parser does a log line; no broken client is an exception.
 * - Over TLS, ALPN offers `http/1.1` and nothing else; with `http: "2"`, `h2` before it (http2-choice.ts, http2-sessions.ts).
 * - `close()` is bounded in time, whatever clients do.
 * Refuses: to listen beyond loopback without anything that decides who may.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { isIP, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { HoldfastError } from "../errors.js";
import { OptionError, type HoldfastSettings } from "../options.js";
import { http1OnlyMiddleware } from "./http1-only-middleware.js";
import { chooseHttp2 } from "./http2-choice.js";
import { Http2Sessions } from "./http2-sessions.js";
import type { MountedHandler } from "./mount.js";
import { SocketRefusal, toRefusal } from "./socket-refusal.js";

// A quarter of the header timeout, so that a slow head lives at most a quarter longer than it may.
const CHECKS_PER_TIMEOUT = 4;
// The kernel's queue of connections not yet accepted; clamped by somaxconn. Thousands may come back at once after a restart.
const BACKLOG = 4_096;

// Of any resource here: CONNECT names none.
const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const NO_TUNNEL = new HoldfastError("METHOD_NOT_ALLOWED", "this is no proxy: CONNECT opens nothing here");

export interface ListeningAddress {
  readonly url: string;
  readonly port: number;
}

export class Listener {
  readonly #server: Server;
  readonly #settings: HoldfastSettings;
  readonly #logger: Logger;
  readonly #http2: Http2Sessions | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #refusal = new SocketRefusal();

  constructor(settings: HoldfastSettings, logger: Logger, service: MountedHandler) {
    // ALPN offers nothing else; should a stream of HTTP/2 come this far all the same, it is told.
    const http1Only = http1OnlyMiddleware();
    const handler: MountedHandler = (request, response) => {
      this.#refusal.watch(request.socket, response);
      http1Only(request, response, () => service(request, response));
    };
    this.#settings = settings;
    this.#logger = logger;
    const options = {
      headersTimeout: settings.headerTimeoutMs,
      requestTimeout: 0,
      requireHostHeader: false, // the door says it with a problem document
      keepAliveTimeout: settings.idleTimeoutMs,
      connectionsCheckingInterval: Math.max(10, Math.floor(settings.headerTimeoutMs / CHECKS_PER_TIMEOUT)),
      noDelay: true,
    };
    const { tls } = settings;
    if (tls === null) {
      this.#server = createServer(options, handler);
    } else {
      const secure = {
        ...options,
        ...tls,
        ALPNProtocols: settings.http === "2" ? ["h2", "http/1.1"] : ["http/1.1"],
        handshakeTimeout: settings.headerTimeoutMs,
      };
      this.#server = createTlsServer(secure, handler);
      this.#server.on("tlsClientError", (error: Error) =>
        logger.debug({ err: error }, "TLS handshake failed"),
      );
    }
    this.#server.on("checkExpectation", handler);
    this.#server.on("connect", (_request: IncomingMessage, socket: Duplex) =>
      this.#refusal.refuse(socket, NO_TUNNEL, { Allow: METHODS }),
    );
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) =>
      this.#refuse(error, socket),
    );
    if (settings.http === "2") {
      const sessions = new Http2Sessions(settings, logger, service);
      chooseHttp2(this.#server, settings.headerTimeoutMs, (socket) => sessions.accept(socket));
      this.#http2 = sessions;
    }
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  get address(): ListeningAddress | undefined {
    const address = this.#server.address() as AddressInfo | null;
    if (address === null) return undefined;
    const { tls, host, basePath } = this.#settings;
    const name = isIP(host) === 6 ? `[${host}]` : host;
    return {
      url: `${tls === null ? "http" : "https"}://${name}:${address.port}${basePath}`,
      port: address.port,
    };
  }

  /** Rejects with OptionError when the port is taken or not allowed. */
  async listen(): Promise<ListeningAddress> {
    const { port, host } = this.#settings;
    assertMayListen(this.#settings);
    await new Promise<void>((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void => reject(toListenError(error, host, port));
      this.#server.once("error", fail);
      this.#server.listen({ port, host, backlog: BACKLOG }, () => {
        this.#server.off("error", fail);
        this.#server.on("error", (error) => this.#logger.error({ err: error }, "listener failed"));
        resolve();
      });
    });
    const { address } = this;
    if (address === undefined)
      throw new OptionError("port", `port ${port} was closed while it was being opened`);
    return address;
  }

  /** No new connection from now on; idle ones are closed. */
  stopAccepting(): void {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  /** Waits for requests under way, at most so long; then every socket is let go. */
  async close(graceMs: number): Promise<void> {
    this.stopAccepting();
    this.#http2?.close();
    const deadlineMs = performance.now() + graceMs;
    while (this.#sockets.size > 0 && performance.now() < deadlineMs) {
      this.#server.closeIdleConnections();
      // Browsers connect ahead of requests they may never send; to Node such a connection is not idle but about to ask.
      for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
      // oxlint-disable-next-line no-await-in-loop -- sockets become idle one by one
      await new Promise((resolve) => void setTimeout(resolve, 20));
    }
    this.#server.closeAllConnections();
    for (const socket of this.#sockets) socket.destroy();
  }

  #refuse(error: NodeJS.ErrnoException, socket: Duplex): void {
    // Not the error itself: it carries the raw packet, and that may hold a token.
    this.#logger.debug({ code: error.code, reason: error.message }, "request refused by the parser");
    if (error.code === "ECONNRESET") socket.destroy();
    else this.#refusal.refuse(socket, toRefusal(error, this.#settings.headerTimeoutMs));
  }
}

function assertMayListen({ host, authSecret, authorize, insecure }: HoldfastSettings): void {
  if (isLoopback(host) || authSecret !== null || authorize !== null || insecure) return;
  throw new OptionError(
    "host",
    `host ${host} can be reached from other machines and nothing decides who may: set auth-secret (or authorize), keep to 127.0.0.1, or set insecure`,
  );
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function toListenError(error: NodeJS.ErrnoException, host: string, port: number): OptionError {
  if (error.code === "EADDRINUSE")
    return new OptionError(
      "port",
      `port ${port} on ${host} is taken; stop what holds it or choose another port`,
    );
  if (error.code === "EACCES")
    return new OptionError("port", `port ${port} is not allowed for this user; choose one above 1023`);
  return new OptionError("host", `can't listen on ${host}:${port}: ${error.message}`);
}
