/** A socket that says what it is told and keeps what it hears: for clients that are old, slow, rude or half closed. */
import { connect, type Socket } from "node:net";

export class RawSocket {
  heard = "";
  readonly closed: Promise<void>;
  readonly #socket: Socket;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => void socket.once("close", () => resolve()));
    socket.on("error", () => undefined); // a server that lets go is what some wait for
    socket.on("data", (chunk: Buffer) => {
      this.heard += chunk.toString();
    });
  }

  static async open(url: string): Promise<RawSocket> {
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true, noDelay: true });
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", () => resolve());
      socket.once("error", reject);
    });
    // Half open, so that the peer's end does not end us; but its end is an end of ours as well.
    const raw = new RawSocket(socket);
    socket.once("end", () => socket.end());
    return raw;
  }

  write(text: string | Buffer): void {
    this.#socket.write(text);
  }

  /** FIN: nothing more will come, but answers are read. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Resolves when it has closed, or after so long. */
  async closedWithin(maxMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), maxMs);
    });
    const closed = await Promise.race([this.closed.then(() => true), late]);
    clearTimeout(timer);
    return closed;
  }
}
