/**
 * One stream over one raw socket, cheap enough that one process holds ten thousand: an HTTP/1.1 head, chunks, frames.
 *
 * Promises: every whole frame is told with the time of its arrival; the end is told once, as `ended` (the last chunk came), `cut` (it did
 * not) or `refused` (a status other than 200, with `Retry-After`). Refuses: compression, continuation lines, and a body without chunks.
 * Called by: the fleet, the churn, the watchers of the drain bench. Not node:http, which costs four times as much a stream.
 */
import { connect } from "node:net";

/**
 * @typedef {object} Frame
 * @property {string} event
 * @property {string | undefined} id
 * @property {string} data
 *
 * @typedef {{ kind: "ended" | "cut" } | { kind: "refused", status: number, retryAfterSeconds: number }} End
 *
 * @typedef {object} SseSocketOptions
 * @property {string} url origin of the server
 * @property {string} path
 * @property {string} [lastEventId]
 * @property {string} [localAddress]
 * @property {object} [body] sent as JSON by POST
 * @property {(frame: Frame, atMs: number) => void} onFrame `atMs` of performance.now()
 * @property {(end: End) => void} onEnd
 */

export class SseSocket {
  /** The last `id:` that came in a whole frame. */
  lastEventId;
  #options;
  #socket;
  #head = "";
  /** Not yet decoded: a chunk's size line, or what is left of its data. */
  #raw = "";
  #body = "";
  /** Of the chunk being read; -1 while its size is awaited. */
  #left = -1;
  #streaming = false;
  #over = false;

  /** @param {SseSocketOptions} options */
  constructor(options) {
    this.#options = options;
    this.lastEventId = options.lastEventId;
    const { hostname, port, host } = new URL(options.url);
    this.#socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      ...(options.localAddress !== undefined && { localAddress: options.localAddress }),
    });
    const body = options.body === undefined ? "" : JSON.stringify(options.body);
    this.#socket.write(
      `${body === "" ? "GET" : "POST"} ${options.path} HTTP/1.1\r\nHost: ${host}\r\nAccept: text/event-stream\r\n` +
        (options.lastEventId === undefined ? "" : `Last-Event-ID: ${options.lastEventId}\r\n`) +
        (body === ""
          ? ""
          : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`) +
        `\r\n${body}`,
    );
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (/** @type {string} */ text) => this.#hear(text, performance.now()));
    this.#socket.on("error", () => undefined); // its close follows
    this.#socket.on("close", () => this.#end({ kind: "cut" }));
  }

  /** Stops reading: the kernel's buffers fill, then the server's queue. */
  pause() {
    this.#socket.pause();
  }

  resume() {
    this.#socket.resume();
  }

  /** FIN; nothing more is told. */
  close() {
    this.#over = true;
    this.#socket.destroy();
  }

  /** RST; nothing more is told. */
  reset() {
    this.#over = true;
    this.#socket.resetAndDestroy();
  }

  /** @param {End} end */
  #end(end) {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.#options.onEnd(end);
  }

  /** @param {string} text @param {number} atMs */
  #hear(text, atMs) {
    if (this.#over) return;
    if (!this.#streaming) {
      this.#head += text;
      const length = this.#head.indexOf("\r\n\r\n");
      if (length === -1) return;
      const status = Number(this.#head.slice(9, 12));
      if (status !== 200) {
        const retryAfter = /^retry-after: *(\d+)/im.exec(this.#head.slice(0, length))?.[1];
        this.#end({ kind: "refused", status, retryAfterSeconds: Number(retryAfter ?? 0) });
        return;
      }
      this.#streaming = true;
      this.#raw = this.#head.slice(length + 4);
      this.#head = "";
    } else {
      this.#raw += text;
    }
    const whole = this.#dechunk();
    this.#tellFrames(atMs);
    if (whole) this.#end({ kind: "ended" });
  }

  /** Returns whether the last chunk has come. */
  #dechunk() {
    for (;;) {
      if (this.#left === -1) {
        const lineEnd = this.#raw.indexOf("\r\n");
        if (lineEnd === -1) return false;
        this.#left = Number.parseInt(this.#raw.slice(0, lineEnd), 16);
        this.#raw = this.#raw.slice(lineEnd + 2);
        if (this.#left === 0) return true;
      }
      // With the CRLF after the data.
      if (this.#raw.length < this.#left + 2) return false;
      this.#body += this.#raw.slice(0, this.#left);
      this.#raw = this.#raw.slice(this.#left + 2);
      this.#left = -1;
    }
  }

  /** @param {number} atMs */
  #tellFrames(atMs) {
    let end;
    while ((end = this.#body.indexOf("\n\n")) !== -1) {
      const frame = { event: "", id: /** @type {string | undefined} */ (undefined), data: "" };
      for (const line of this.#body.slice(0, end).split("\n")) {
        if (line.startsWith("data: ")) frame.data = line.slice(6);
        else if (line.startsWith("event: ")) frame.event = line.slice(7);
        else if (line.startsWith("id: ")) frame.id = line.slice(4);
      }
      this.#body = this.#body.slice(end + 2);
      if (frame.id !== undefined) this.lastEventId = frame.id;
      if (frame.event !== "" && !this.#over) this.#options.onFrame(frame, atMs);
    }
  }
}
