/** Small servers that are wrong in one way each, for the doctor's tests. Free ports on loopback, all closed by `closeOrigins`. */
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from "node:http2";
import type { AddressInfo } from "node:net";

export const STREAM = { "Content-Type": "text/event-stream", "Cache-Control": "no-store" } as const;

const opened: (Server | Http2SecureServer)[] = [];

export async function openOrigin(listener: RequestListener): Promise<URL> {
  return await listen(createServer(listener), "http");
}

export async function openSecureOrigin(
  tls: { readonly key: string; readonly cert: string },
  listener: (
    request: Http2ServerRequest | IncomingMessage,
    response: Http2ServerResponse | ServerResponse,
  ) => void,
): Promise<URL> {
  return await listen(createSecureServer({ ...tls, allowHTTP1: true }, listener), "https");
}

async function listen(server: Server | Http2SecureServer, scheme: string): Promise<URL> {
  opened.push(server);
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return new URL(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}/events`);
}

export function closeOrigins(): void {
  for (const server of opened.splice(0)) {
    server.close();
    if ("closeAllConnections" in server) server.closeAllConnections();
  }
}

/** Numbered events, one at once and then each `everyMs`, until the client goes. */
export function sendEvents(
  response: { write(text: string): unknown; once(event: "close", listener: () => void): unknown },
  { everyMs = 200, ids = true }: { readonly everyMs?: number; readonly ids?: boolean } = {},
): void {
  let number = 0;
  const send = () => {
    number += 1;
    response.write(`${ids ? `id: ${number}\n` : ""}data: ${number}\n\n`);
  };
  send();
  const timer = setInterval(send, everyMs);
  response.once("close", () => clearInterval(timer));
}
