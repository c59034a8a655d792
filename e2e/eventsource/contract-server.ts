/** Plays what a contract case sends. Called by: contract.test.ts. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ContractCase } from "./contract-cases.js";

export interface Asked {
  readonly method: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface ContractServer {
  readonly url: string;
  readonly asked: readonly Asked[];
  stop(): Promise<void>;
}

type Play = (request: IncomingMessage, response: ServerResponse, index: number) => Promise<void> | void;

export async function startContractServer(play: Play): Promise<ContractServer> {
  const asked: Asked[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method, headers } = request;
      const index = asked.push({ method, headers, body: Buffer.concat(chunks).toString() }) - 1;
      void play(request, response, index);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
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

/** Each piece in a segment of its own, or as near to it as TCP lets one. */
export function playCase({ connections, silent }: ContractCase): Play {
  return async (request, response, index) => {
    const pieces = connections[Math.min(index, connections.length - 1)] ?? [];
    request.socket.setNoDelay(true);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    for (const piece of pieces) {
      await new Promise((resolve) => {
        response.write(piece, resolve);
      });
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
    }
    // Without the last chunk: broken, not ended.
    if (index < connections.length - 1 && silent !== true) request.socket.end();
  };
}
