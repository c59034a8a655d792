/** What a scripted server does in the scenarios: answers in short. */
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Play } from "../harness/scripted-server.js";

function begin(response: ServerResponse): void {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.flushHeaders();
}

/** A stream that says this and stays open. */
export const stays =
  (...pieces: readonly string[]): Play =>
  (_request, response) => {
    begin(response);
    for (const piece of pieces) response.write(piece);
  };

/** A stream that says this and ends. */
export const ends =
  (...pieces: readonly string[]): Play =>
  (_request, response) => {
    begin(response);
    response.end(pieces.join(""));
  };

/** A stream that says this and is cut: no last chunk. */
export const breaks =
  (...pieces: readonly string[]): Play =>
  (request, response) => {
    begin(response);
    response.write(pieces.join(""), () => request.socket.end());
  };

export const answers =
  (status: number, headers: OutgoingHttpHeaders = {}, body = ""): Play =>
  (_request, response) => {
    response.writeHead(status, headers);
    response.end(body);
  };

/** The n-th request gets the n-th, all later ones the last. */
export const inTurn =
  (...plays: readonly Play[]): Play =>
  async (request, response, index) =>
    await plays[Math.min(index, plays.length - 1)]?.(request, response, index);

export const mute: Play = () => undefined;

/** A cursor as our server writes it. */
export const cursor = (sequence: number): string => `e-1700000000000-${sequence}`;

export const event = (type: string, data: unknown, id?: string): string =>
  `${id === undefined ? "" : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;

/** What every stream of our server begins with. */
export const connected = (sequence: number, heartbeatMs = 10_000): string =>
  event("connected", { heartbeatMs }, cursor(sequence));
