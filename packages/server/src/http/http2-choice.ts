/**
 * HTTP/1.1 and HTTP/2 on one port [wire: http-versions]: which of them a new connection speaks.
 *
 * Over TLS the client has said so in ALPN. Without TLS it is told by its first bytes: one that speaks HTTP/2 begins with the preface
 * `PRI * HTTP/2.0` [rfc9113 §3.4], and `PRI` is no method of HTTP/1.1.
 * Promises: what speaks HTTP/1.1 goes the way it goes without this, with not a byte missing; one that says nothing is let go after
 * `silenceMs`. Called by: the listener.
 */
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

const PREFACE = "PRI";

/** Hands connections of HTTP/2 to `accept`, and all others to the listeners that the server has had so far. */
export function chooseHttp2(server: Server, silenceMs: number, accept: (socket: Socket) => void): void {
  const event = server.listenerCount("secureConnection") > 0 ? "secureConnection" : "connection";
  const listeners = server.listeners(event);
  server.removeAllListeners(event);
  server.on(event, (socket: Socket) => {
    const keep = (): void => {
      for (const listener of listeners) Reflect.apply(listener, server, [socket]);
    };
    if (!(socket instanceof TLSSocket)) readFirstBytes(socket, silenceMs, { keep, accept });
    else if (socket.alpnProtocol === "h2") accept(socket);
    else keep();
  });
}

function readFirstBytes(
  socket: Socket,
  silenceMs: number,
  { keep, accept }: { readonly keep: () => void; readonly accept: (socket: Socket) => void },
): void {
  let read = Buffer.alloc(0);
  const look = (): void => {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) read = Buffer.concat([read, chunk]);
    const head = read.toString("latin1", 0, PREFACE.length);
    if (chunk !== null && head.length < PREFACE.length && PREFACE.startsWith(head)) return;
    settle();
    if (read.length > 0) socket.unshift(read);
    if (head === PREFACE) accept(socket);
    else keep();
  };
  const leave = (): void => {
    settle();
    socket.destroy();
  };
  const timer = setTimeout(leave, silenceMs);
  const settle = (): void => {
    clearTimeout(timer);
    socket.off("readable", look).off("error", leave).off("close", leave);
  };
  socket.on("readable", look).on("error", leave).on("close", leave);
}
