/**
 * A TCP proxy through which what the server sends arrives later, and what the client sends no faster than a line carries it. It stands
 * in for a long line where the kernel has no netem.
 *
 * Promises: bytes keep their order, also when the delay changes; a write that must wait stops the reading, so nothing piles up here
 * but what is on its way. Called by: link-faults.ts, http2/upload-speed.test.ts.
 */
import { setTimeout as pause } from "node:timers/promises";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { Transform } from "node:stream";

export interface DelayingProxyOptions {
  /** Where the server is, and where this listens. */
  readonly host: string;
  readonly targetPort: number;
  /** Of each connection, from the client to the server; as fast as it can unless given. */
  readonly upBytesPerSecond?: number;
}

export class DelayingProxy {
  delayMs = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor({ host, targetPort, upBytesPerSecond = Infinity }: DelayingProxyOptions) {
    this.#server = createServer((client) => {
      const upstream = connect({ port: targetPort, host });
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        socket.on("error", () => undefined); // its close follows, which is all that matters here
        socket.once("close", () => {
          this.#sockets.delete(socket);
          if (socket === client) upstream.destroy();
        });
      }
      client.pipe(paced(upBytesPerSecond)).pipe(upstream);
      let before: Promise<unknown> = Promise.resolve();
      const later = (deed: () => void): void => {
        before = Promise.all([before, pause(this.delayMs)]).then(deed);
      };
      upstream.on("data", (chunk) => {
        later(() => {
          if (client.write(chunk)) return;
          upstream.pause();
          client.once("drain", () => upstream.resume());
        });
      });
      upstream.once("close", () => later(() => client.end()));
    });
  }

  static async start(
    options: DelayingProxyOptions,
  ): Promise<{ readonly proxy: DelayingProxy; readonly url: string }> {
    const proxy = new DelayingProxy(options);
    await new Promise<void>((resolve) => void proxy.#server.listen(0, options.host, resolve));
    const { port } = proxy.#server.address() as AddressInfo;
    return { proxy, url: `http://${options.host}:${port}` };
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** What is written to it comes out no faster than that. */
function paced(bytesPerSecond: number): Transform {
  let dueMs = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const nowMs = performance.now();
      dueMs = Math.max(dueMs, nowMs) + (chunk.byteLength * 1_000) / bytesPerSecond;
      if (dueMs - nowMs < 1) done(null, chunk);
      else setTimeout(() => done(null, chunk), dueMs - nowMs);
    },
  });
}
