import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterEach } from "vitest";

/** One request's answer. The index counts requests from 0. */
export type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  index: number,
) => void | Promise<void>;

/** A server that plays a script: its n-th request gets the n-th answer, the last answer goes on for ever. */
export class LocalServer {
  readonly requests: IncomingMessage[] = [];
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(...answers: readonly Answer[]): Promise<LocalServer> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    const local = new LocalServer(server);
    server.on("request", (request, response) => {
      const index = local.requests.push(request) - 1;
      void answers[Math.min(index, answers.length - 1)]?.(request, response, index);
    });
    return local;
  }

  /** Sees each connection before HTTP does. */
  onConnection(listener: (socket: Socket, index: number) => void): void {
    let index = 0;
    this.#server.on("connection", (socket) => listener(socket, index++));
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    this.#server.closeAllConnections();
    await closed;
  }
}

export interface Opened {
  /** A server with these answers, until the test is over. */
  readonly serve: (...answers: readonly Answer[]) => Promise<LocalServer>;
  /** Calls back when the test is over, what was opened last first. */
  readonly release: (run: () => unknown) => void;
}

/** Registers its hook in the file that calls it. */
export function useServers(): Opened {
  const releases: (() => unknown)[] = [];
  afterEach(async () => {
    for (const run of releases.splice(0).toReversed()) await run();
  });
  return {
    async serve(...answers) {
      const server = await LocalServer.start(...answers);
      releases.push(() => server.stop());
      return server;
    },
    release: (run) => void releases.push(run),
  };
}

/** A fetch that is answered with a stream of these chunks, each read on its own, which then stays open. */
export function chunked(...chunks: readonly (string | Uint8Array)[]): typeof fetch {
  return () => {
    const body = new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(Buffer.from(chunk));
      },
    });
    return Promise.resolve(new Response(body, { headers: { "Content-Type": "text/event-stream" } }));
  };
}

/** A stream that begins with these bytes and stays open. */
export function stream(...parts: readonly string[]): Answer {
  return (_request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
    response.flushHeaders();
    for (const part of parts) response.write(part);
  };
}

/** The same, ended cleanly. */
export function endedStream(...parts: readonly string[]): Answer {
  return async (request, response, index) => {
    await stream(...parts)(request, response, index);
    response.end();
  };
}

export function status(code: number, headers: { readonly [name: string]: string } = {}, body = ""): Answer {
  return (_request, response) => {
    response.writeHead(code, headers);
    response.end(body);
  };
}

export function problem(code: number, document: object): Answer {
  return status(code, { "Content-Type": "application/problem+json" }, JSON.stringify(document));
}

/** One event as it stands on the wire. */
export function frame(event: string, data: unknown, id?: string): string {
  return `${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
