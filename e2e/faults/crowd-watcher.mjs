/**
 * One of very many watchers in a process: a bare socket that reads the stream and comes back as the client does, with its last id and the
 * client's backoff. The published client costs 1 ms of processor for each connection; ten thousand of them would measure themselves.
 *
 * It asks in HTTP/1.0, to which the stream comes without chunks, and removes no duplicate: what the server repeats is counted. Over polls it
 * asks again behind each whole answer.
 */
import { connect } from "node:net";
import { createParser } from "eventsource-parser";

const ENDINGS = new Set(["complete", "failed", "cancelled"]);
const GREETING = new Set(["connected", "gap", "drain"]);
const RETRY_MS = 1_000;
// Half a heartbeat of 10 s, as in the client.
const LONGEST_RETRY_MS = 5_000;
const CONNECT_MS = 10_000;
const SILENCE_MS = 25_000;
const POLL_FLOOR_MS = 100;

export class CrowdWatcher {
  #url;
  #poll;
  #onEvent;
  #onLoss;
  #onEnd;
  #failures = 0;
  #lastEventId = "";

  /**
   * @param {URL} url of the stream
   * @param {boolean} poll
   * @param {(event: import("@holdfast/client").WatchEvent) => void} onEvent
   * @param {() => void} onLoss
   * @param {() => void} onEnd after the ending
   */
  constructor(url, poll, onEvent, onLoss, onEnd) {
    this.#url = url;
    this.#poll = poll;
    this.#onEvent = onEvent;
    this.#onLoss = onLoss;
    this.#onEnd = onEnd;
    this.#connect();
  }

  #connect() {
    const { hostname, port, pathname } = this.#url;
    const path = this.#poll ? `${pathname}?transport=poll` : pathname;
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    const resume = this.#lastEventId === "" ? "" : `Last-Event-ID: ${this.#lastEventId}\r\n`;
    socket.write(`GET ${path} HTTP/1.0\r\nHost: holdfast\r\nAccept: text/event-stream\r\n${resume}\r\n`);
    socket.setTimeout(CONNECT_MS, () => socket.destroy());
    socket.setEncoding("latin1"); // what is measured here is in ASCII
    let head = "";
    let open = false;
    let over = false;
    let whole = false;
    const parser = createParser({
      onEvent: ({ event = "message", data, id }) => {
        if (id !== undefined) this.#lastEventId = id;
        if (!GREETING.has(event)) this.#failures = 0;
        this.#onEvent(this.#toEvent(event, JSON.parse(data)));
        if (ENDINGS.has(event)) over = true;
        // The last event of an answer; while a poll is held there are others of that name.
        whole = this.#poll && event === "heartbeat" && "rev" in JSON.parse(data);
      },
    });
    socket.on("data", (/** @type {string} */ text) => {
      if (open) return parser.feed(text);
      head += text;
      const end = head.indexOf("\r\n\r\n");
      if (end === -1) return;
      if (!/^HTTP\/1\.[01] 200 /.test(head)) return void socket.destroy();
      open = true;
      socket.setTimeout(SILENCE_MS);
      parser.feed(head.slice(end + 4));
    });
    socket.on("error", () => undefined); // its close follows
    socket.once("close", () => {
      if (over) return this.#onEnd();
      if (whole) return void setTimeout(() => this.#connect(), POLL_FLOOR_MS);
      this.#failures += 1;
      this.#onLoss();
      const ceilingMs = Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** (this.#failures - 1));
      setTimeout(() => this.#connect(), Math.random() * ceilingMs);
    });
  }

  /** The types of the data are the server's word. @param {string} name @param {any} data @returns {import("@holdfast/client").WatchEvent} */
  #toEvent(name, data) {
    const lastEventId = this.#lastEventId;
    return name === "step.done"
      ? { type: "custom", name, data, lastEventId }
      : /** @type {import("@holdfast/client").WatchEvent} */ ({ type: name, data, lastEventId });
  }
}
