/**
 * A TCP proxy that lets a connection go only so far: what the server sends passes, byte for byte, until the connection's cut says that it
 * ends here. Each connection draws its own cut when it begins.
 *
 * Promises: the client gets exactly the bytes before the cut, then the end (`drop`) or a reset; the server's side is gone at once.
 * Called by: connection-faults.ts.
 */
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";

/** How many of these bytes still pass; undefined for all of them. Asked for each chunk, in order. */
export type Cut = (chunk: Buffer) => number | undefined;

export interface CuttingProxyOptions {
  readonly targetPort: number;
  /** By the `X-Watcher` of the connection's first request; asked when its answer begins. */
  readonly drawCut: (watcher: string) => Cut | undefined;
  /** The connection has ended by itself, its cut unused: a client keeps connections for later requests, and lets some of them go. */
  readonly giveBack?: (cut: Cut) => void;
  readonly how: "drop" | "reset";
}

export class CuttingProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor({ targetPort, drawCut, giveBack, how }: CuttingProxyOptions) {
    this.#server = createServer((client) => {
      let cut: Cut | undefined;
      let watcher: string | undefined;
      let answered = false;
      const upstream = connect({ port: targetPort, host: "127.0.0.1" });
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.setNoDelay(true);
        // One side's end is the other's; why it ended is told by its bytes.
        socket.on("error", () => undefined);
        socket.once("close", () => {
          this.#sockets.delete(socket);
          client.destroySoon();
          upstream.destroy();
        });
      }
      client.once("close", () => {
        if (cut !== undefined) giveBack?.(cut);
      });
      client.once("data", (chunk) => {
        watcher = /^x-watcher: *(.+?)\r$/im.exec(chunk.toString("latin1"))?.[1];
      });
      client.pipe(upstream, { end: false });
      client.once("end", () => upstream.end());
      upstream.on("data", (chunk) => {
        if (!answered) cut = drawCut(watcher ?? "");
        answered = true;
        const passing = cut?.(chunk);
        if (passing === undefined) {
          client.write(chunk);
          return;
        }
        cut = undefined;
        upstream.removeAllListeners("data");
        const end = (): void => {
          if (how === "reset") client.resetAndDestroy();
          else client.end();
          if (how === "reset") upstream.resetAndDestroy();
          else upstream.destroy();
        };
        if (passing === 0) end();
        else client.write(chunk.subarray(0, passing), end);
      });
    });
  }

  static async start(
    options: CuttingProxyOptions,
  ): Promise<{ readonly proxy: CuttingProxy; readonly url: string }> {
    const proxy = new CuttingProxy(options);
    await new Promise<void>((resolve) => void proxy.#server.listen(0, "127.0.0.1", resolve));
    const { port } = proxy.#server.address() as AddressInfo;
    return { proxy, url: `http://127.0.0.1:${port}` };
  }

  /** Connections that stand, whatever their cut. */
  cutAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** After so many bytes of the answer, headers included. */
export function afterBytes(count: number): Cut {
  let left = count;
  return (chunk) => {
    if (chunk.length < left) {
      left -= chunk.length;
      return undefined;
    }
    return left;
  };
}

/** At the end of the frame of that number, the first being 1; right behind its blank line. */
export function afterFrames(count: number): Cut {
  let left = count;
  let previous = 0;
  return (chunk) => {
    for (const [at, byte] of chunk.entries()) {
      if (byte === LF && previous === LF) left -= 1;
      previous = byte;
      if (left === 0) return at + 1;
    }
    return undefined;
  };
}

/** At the end of the first frame with which the client can tell that all is well: one that is no greeting. */
export function afterNews(): Cut {
  let text = "";
  return (chunk) => {
    const before = text.length;
    text += chunk.toString("latin1");
    const start = NEWS.exec(text)?.index;
    const end = start === undefined ? -1 : text.indexOf("\n\n", start);
    return end === -1 ? undefined : Math.max(0, end + 2 - before);
  };
}

/** Before, within, or right behind the first ending on the connection. It is looked for within a chunk: our server writes events whole. */
export function atEnding(place: "before" | "within" | "behind"): Cut {
  return (chunk) => {
    const text = chunk.toString("latin1");
    const match = ENDING.exec(text);
    if (match === null) return undefined;
    const end = text.indexOf("\n\n", match.index) + 2;
    if (place === "before") return match.index;
    return place === "within" || end === 1 ? match.index + 10 : end;
  };
}

const LF = 10;
const NEWS = /event: ?(?:progress|status|stage|attempt|heartbeat|step\.done)\n/;
const ENDING = /event: ?(?:complete|failed|cancelled|batchComplete)\n/;
