/**
 * A sink over Node's `ServerResponse`, HTTP/1.1 and HTTP/2 alike: both are writable streams with a `writableLength`.
 *
 * The head is written with the first frame so that both leave in one segment: proxies that hold headers until the
 * first body byte (nginx over HTTP/2, Vite) then hold nothing.
 *
 * The queue is what `writableLength` says. Node's `drain` event comes only after a write that passed the high-water mark,
 * so emptiness is heard from the callback of each write instead. `node:http` corks the socket until the end of the turn;
 * it is uncorked after each frame, or a queue that the kernel would take at once would look like a slow reader.
 */
import type { ServerResponse } from "node:http";
import { onResponseClose, toRequestSocket, wasSentWhole, type NodeResponse } from "./node-sink-close.js";
import type { Sink } from "./sink.js";

/** Headers already set on the response are kept; `headers` win. Call once per response, before any byte is written. */
export function nodeSink(response: NodeResponse, headers: { readonly [name: string]: string }): Sink {
  const drains: (() => void)[] = [];
  const closes: ((outcome: { finished: boolean; error?: Error }) => void)[] = [];
  let failure: Error | undefined;
  let closed = false;
  let headSent = false;

  const flushed = (): void => {
    if (response.writableLength === 0) for (const listener of drains) listener();
  };
  // Without a listener a write to a vanished peer would be an uncaught exception: it is a close reason, nothing more.
  response.on("error", (error: Error) => {
    failure = error;
  });
  onResponseClose(response, () => {
    closed = true;
    const outcome = { finished: wasSentWhole(response), ...(failure && { error: failure }) };
    for (const listener of closes.splice(0)) listener(outcome);
  });

  const sendHead = (): void => {
    if (headSent || response.headersSent) return;
    headSent = true;
    response.statusCode = 200;
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  };

  return {
    get queuedBytes() {
      return response.writableLength;
    },
    write(bytes) {
      if (closed || response.writableEnded || response.destroyed) return;
      sendHead();
      (response as ServerResponse).write(bytes, flushed);
      if (response.req.httpVersionMajor < 2) response.socket?.uncork();
    },
    end() {
      if (closed || response.writableEnded) return;
      sendHead();
      response.end();
    },
    destroy() {
      if (closed) return;
      response.destroy();
      // One that waits behind another on its connection has no socket to destroy, and no way to be left out: the connection goes.
      if (response.socket === null && !response.writableFinished) toRequestSocket(response)?.destroy();
    },
    onDrain: (listener) => void drains.push(listener),
    onClose: (listener) => void closes.push(listener),
  };
}
