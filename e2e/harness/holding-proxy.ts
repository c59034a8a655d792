/**
 * A proxy that holds every response back until it has ended, as some company proxies and virus scanners do: a stream comes
 * through it as one lump at its end, or never. The head is held back too, or passed on at once: 200, and then nothing.
 */
import { createServer, request as openRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export class HoldingProxy {
  readonly url: string;
  readonly #server: Server;

  static async start(target: string, { passHead = false } = {}): Promise<HoldingProxy> {
    const server = createServer((request, response) => {
      const { method = "GET", headers } = request;
      const upstream = openRequest(
        new URL(request.url ?? "/", target),
        { method, headers, agent: false },
        (answer) => {
          const chunks: Buffer[] = [];
          const { "transfer-encoding": _coding, connection: _connection, ...kept } = answer.headers;
          if (passHead) response.writeHead(answer.statusCode ?? 502, kept).flushHeaders();
          answer.on("data", (chunk: Buffer) => chunks.push(chunk));
          answer.on("error", () => response.destroy());
          answer.on("end", () => {
            const body = Buffer.concat(chunks);
            const length = answer.statusCode === 204 ? {} : { "content-length": body.length };
            if (!passHead) response.writeHead(answer.statusCode ?? 502, { ...kept, ...length });
            response.end(body);
          });
        },
      );
      upstream.on("error", () => response.destroy());
      response.on("close", () => upstream.destroy());
      request.pipe(upstream);
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    return new HoldingProxy(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => void this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}
