/**
 * What is refused on a socket because there is no response to refuse it on: what the parser gave up on, heads that came too slowly, CONNECT.
 *
 * Promises: one problem document, never in the midst of another answer; then the connection is closed for sending and, so that the answer is
 * not reset away from a client that still sends, read on for a moment [rfc9112 §9.6].
 * Called by: the listener.
 */
import { STATUS_CODES, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { HoldfastError } from "../errors.js";
import { PROBLEM_TYPE, toProblem } from "./problem.js";

// As long as the door lingers.
const LINGER_MS = 3_000;

/** What is looked at of a response; over HTTP/2 there are such, too, and nothing here is ever refused. */
type Watched = Pick<ServerResponse, "headersSent" | "writableEnded"> & {
  once(event: "close", listener: () => void): unknown;
};

export class SocketRefusal {
  readonly #responses = new WeakMap<Duplex, Set<Watched>>();
  readonly #refused = new WeakSet<Duplex>();

  /** Notes a response on its socket, to which nothing may be written until it is out. */
  watch(socket: Duplex, response: Watched): void {
    const responses = this.#responses.get(socket) ?? new Set();
    this.#responses.set(socket, responses.add(response));
    response.once("close", () => responses.delete(response));
  }

  /** Answers and closes; once, however often the parser complains of what is read on. */
  refuse(socket: Duplex, error: HoldfastError, headers: { readonly [name: string]: string } = {}): void {
    if (this.#refused.has(socket)) return;
    this.#refused.add(socket);
    socket.on("error", () => undefined); // the peer went first, which is as good
    const begun = Array.from(this.#responses.get(socket) ?? []).filter(({ headersSent }) => headersSent);
    if (!socket.writable || begun.some(({ writableEnded }) => !writableEnded)) {
      socket.destroy();
      return;
    }
    socket.end(begun.length > 0 ? "" : toMessage(error, headers));
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => clearTimeout(timer));
  }
}

/** What the parser's error, or Node's, means. */
export function toRefusal(error: NodeJS.ErrnoException, headerTimeoutMs: number): HoldfastError {
  if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return new HoldfastError(
      "REQUEST_TIMEOUT",
      `the head was not whole within ${headerTimeoutMs} ms (header-timeout); send it at once`,
    );
  }
  if (error.code === "HPE_HEADER_OVERFLOW") {
    return new HoldfastError(
      "HEADERS_TOO_LARGE",
      "the head is larger than 16 KiB; send less cookies or a shorter URL",
    );
  }
  return new HoldfastError(
    "INVALID_REQUEST",
    error.code === "HPE_INVALID_EOF_STATE"
      ? "the connection was closed for sending before the request had ended; send all that was announced"
      : "the request is not valid HTTP/1.1",
  );
}

function toMessage(error: HoldfastError, headers: { readonly [name: string]: string }): string {
  const body = JSON.stringify(toProblem(error));
  const lines = Object.entries({
    ...headers,
    "Content-Type": PROBLEM_TYPE,
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: "close",
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ""}\r\n${lines.join("")}\r\n${body}`;
}
