/**
 * Clients of HTTP/2 for tests: Node's own, and one that writes and reads frames as they are.
 */
import { once } from "node:events";
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  type SecureClientSessionOptions,
  type OutgoingHttpHeaders,
} from "node:http2";
import { connect as connectSocket, type Socket } from "node:net";
import { until } from "./served.test.kit.js";

const sessions: { destroy(): void }[] = [];

/** For `afterEach`. */
export function closeHttp2(): void {
  for (const session of sessions.splice(0)) session.destroy();
}

export function connectHttp2(
  url: string,
  options: ClientSessionOptions | SecureClientSessionOptions = {},
): ClientHttp2Session {
  const session = connect(url, options);
  session.on("error", () => undefined); // cut by the server: what many tests are about
  sessions.push(session);
  return session;
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: { readonly [name: string]: unknown };
  readonly text: string;
  readonly rstCode: number;
}

/** One request with its whole body; resolves when its stream is over, however that came. */
export async function callHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string | Uint8Array,
): Promise<Http2Answer> {
  const stream = session.request(headers, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return await readAnswer(stream);
}

export async function callJson2(
  session: ClientHttp2Session,
  path: string,
  body: unknown,
): Promise<Http2Answer> {
  const headers = { ":method": "POST", ":path": path, "content-type": "application/json" };
  return await callHttp2(session, headers, JSON.stringify(body));
}

export async function readAnswer(stream: ClientHttp2Stream): Promise<Http2Answer> {
  let headers: Http2Answer["headers"] = {};
  let text = "";
  stream.on("response", (received) => (headers = received));
  stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
  stream.on("error", () => undefined); // rstCode says the same
  await new Promise((resolve) => {
    stream.once("close", resolve);
    // Node's client waits for ever to send what it had still to say to a server that has said NO_ERROR.
    stream.once("aborted", () => void stream.once("end", resolve));
  });
  return { status: Number(headers[":status"] ?? 0), headers, text, rstCode: stream.rstCode };
}

/** An event stream that is read as it comes. */
export class Http2Watch {
  readonly stream: ClientHttp2Stream;
  readonly over: Promise<Http2Answer>;
  text = "";

  constructor(session: ClientHttp2Session, path: string) {
    this.stream = session.request({ ":path": path, accept: "text/event-stream" });
    this.over = readAnswer(this.stream);
    this.stream.on("data", (chunk: string) => (this.text += chunk));
  }

  async heard(event: string): Promise<void> {
    await until(() => this.text.includes(`event: ${event}\n`));
  }
}

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
}

/** Writes frames as they are, and keeps all that come. */
export class FrameSocket {
  readonly frames: Frame[] = [];
  closed = false;
  readonly #socket: Socket;
  #rest = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    sessions.push(socket);
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => undefined); // its close follows
    socket.once("close", () => (this.closed = true));
  }

  static async open(port: number): Promise<FrameSocket> {
    const socket = connectSocket(port, "127.0.0.1");
    const frames = new FrameSocket(socket);
    await once(socket, "connect");
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    frames.send({ type: FRAME.SETTINGS });
    return frames;
  }

  send(...frames: readonly Partial<Frame>[]): void {
    const bytes = frames.flatMap(({ type = 0, flags = 0, streamId = 0, payload = Buffer.alloc(0) }) => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(payload.length, 0, 3);
      head.writeUInt8(type, 3);
      head.writeUInt8(flags, 4);
      head.writeUInt32BE(streamId, 5);
      return [head, payload];
    });
    this.#socket.write(Buffer.concat(bytes));
  }

  get(streamId: number, path: string): void {
    this.send({ type: FRAME.HEADERS, flags: END_STREAM | END_HEADERS, streamId, payload: toHead(path) });
  }

  of(type: number): readonly Frame[] {
    return this.frames.filter((frame) => frame.type === type);
  }

  /** The code of the last GOAWAY. */
  get goaway(): number | undefined {
    return this.of(FRAME.GOAWAY).at(-1)?.payload.readUInt32BE(4);
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) return;
      this.frames.push({
        type: this.#rest.readUInt8(3),
        flags: this.#rest.readUInt8(4),
        streamId: this.#rest.readUInt32BE(5),
        payload: this.#rest.subarray(9, end),
      });
      this.#rest = this.#rest.subarray(end);
    }
  }
}

/** [rfc7541] a GET as indexes into the static table and literals. */
export function toHead(path: string): Buffer {
  const literal = (index: number, text: string): Buffer =>
    Buffer.concat([Buffer.from([index, text.length]), Buffer.from(text, "latin1")]);
  return Buffer.concat([Buffer.from([0x82, 0x86]), literal(0x04, path), literal(0x01, "localhost")]);
}
