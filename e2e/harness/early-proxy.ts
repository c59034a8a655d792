/**
 * A proxy that takes whole bodies in before it hands them on, as proxies do that buffer: of each it hands on the first `firstBytes`, and the
 * rest once it is released. To the browser everything has been sent by then.
 */
import { createServer, request as send, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

export class EarlyProxy {
  readonly url: string;
  readonly #server: Server;
  #released: Promise<void>;
  #release: () => void = () => undefined;

  private constructor(server: Server, target: string, firstBytes: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#released = this.hold();
    server.on("request", (request, response) => {
      const { method = "GET", headers, url: path = "/" } = request;
      const onward = send(new URL(path, target), { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        response.flushHeaders();
        answer.pipe(response);
      });
      // Whoever goes first takes the other along.
      onward.on("error", () => response.destroy());
      response.on("close", () => onward.destroy());
      void buffer(request).then(async (body) => {
        if (body.length > firstBytes) {
          onward.write(body.subarray(0, firstBytes));
          await this.#released;
        }
        onward.end(body.length > firstBytes ? body.subarray(firstBytes) : body);
      });
    });
  }

  static async start(target: string, firstBytes: number): Promise<EarlyProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    return new EarlyProxy(server, target, firstBytes);
  }

  /** From here on the rest of a body waits. */
  hold(): Promise<void> {
    this.#released = new Promise((resolve) => {
      this.#release = resolve;
    });
    return this.#released;
  }

  release(): void {
    this.#release();
  }

  async stop(): Promise<void> {
    this.release();
    const closed = new Promise((resolve) => {
      this.#server.close(resolve);
    });
    this.#server.closeAllConnections();
    await closed;
  }
}
