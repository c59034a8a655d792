/**
 * When a response is over, heard also where Node says nothing.
 *
 * Over HTTP/1.1 a request may be pipelined: its response has no socket until the one before it has ended, and Node emits no `close`
 * for it when the connection dies first. So the socket of the request is heard as well; through one listener for each socket, or fifty
 * pipelined requests would be fifty listeners, and a warning.
 * Called by: the sink, and whoever waits for as long as a client does.
 */
import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import type { Socket } from "node:net";

export type NodeResponse = ServerResponse | Http2ServerResponse;

const listenersOf = new WeakMap<Socket, Set<() => void>>();

/**
 * Calls the listener once, when the response has been sent whole or its client has gone; in a microtask if that was before.
 * Returns how to stop listening.
 */
export function onResponseClose(response: NodeResponse, listener: () => void): () => void {
  const socket = toRequestSocket(response);
  let over = false;
  const forget = (): void => {
    over = true;
    response.off("close", heard);
    if (socket !== undefined) forgetSocket(socket, heard);
  };
  const heard = (): void => {
    if (over) return;
    forget();
    listener();
  };
  response.on("close", heard);
  if (socket !== undefined) hearSocket(socket, heard);
  // A peer that went while its request was being looked at has had its close event: nobody would ever hear of it.
  if (isGone(response) || socket?.destroyed === true) queueMicrotask(heard);
  return forget;
}

/** Whether all that was written has left, asked when the response is over. Over HTTP/2 a reset ends it like an end. */
export function wasSentWhole(response: NodeResponse): boolean {
  if ("stream" in response && (response.stream.aborted || response.stream.rstCode !== 0)) return false;
  return response.writableFinished;
}

function isGone(response: NodeResponse): boolean {
  if ("stream" in response) return response.stream.destroyed;
  return response.destroyed || response.socket?.destroyed === true;
}

/** Undefined over HTTP/2, where each stream closes for itself. */
export function toRequestSocket(response: NodeResponse): Socket | undefined {
  return response.req.httpVersionMajor < 2 ? response.req.socket : undefined;
}

function hearSocket(socket: Socket, listener: () => void): void {
  let listeners = listenersOf.get(socket);
  if (listeners === undefined) {
    listeners = new Set();
    listenersOf.set(socket, listeners);
    socket.once("close", socketClosed);
  }
  listeners.add(listener);
}

function forgetSocket(socket: Socket, listener: () => void): void {
  const listeners = listenersOf.get(socket);
  if (listeners?.delete(listener) !== true || listeners.size > 0) return;
  listenersOf.delete(socket);
  socket.off("close", socketClosed);
}

function socketClosed(this: Socket): void {
  for (const listener of listenersOf.get(this) ?? []) listener();
}
