/** An HTTP server on loopback that does to each request what a test says, and remembers what was asked. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

export interface Asked {
  readonly method: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** performance.now(). */
  readonly atMs: number;
}

/** The index counts requests from 0. */
export type Play = (
  request: IncomingMessage,
  response: ServerResponse,
  index: number,
) => Promise<void> | void;

export interface ScriptedServer {
  readonly url: string;
  readonly port: number;
  readonly asked: readonly Asked[];
  stop(): Promise<void>;
}

export interface ScriptedServerOptions {
  /** Sees each connection before HTTP does. */
  readonly onConnection?: (socket: Socket, index: number) => void;
  /** 0: any that is free. */
  readonly port?: number;
}

export async function startScriptedServer(
  play: Play,
  { onConnection, port = 0 }: ScriptedServerOptions = {},
): Promise<ScriptedServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, headers } = request;
      const body = Buffer.concat(chunks).toString();
      void play(request, response, asked.push({ method, headers, body, atMs: performance.now() }) - 1);
    });
  });
  let connections = 0;
  server.on("connection", (socket) => onConnection?.(socket, connections++));
  await new Promise<void>((resolve) => {
    server.listen(port, "127.0.0.1", resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${bound}/`,
    port: bound,
    asked,
    stop: async () => {
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };
}
