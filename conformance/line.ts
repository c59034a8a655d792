/**
 * A client without patience: one request, sent and read as it goes, over HTTP/1.1 or HTTP/2 on node's own clients.
 *
 * Promises: each text is told when it comes, and an end is `ended` only if the protocol says that the response is whole (END_STREAM without a
 * reset, the last chunk). Refuses: to retry, to follow, to check the certificate (it was made for the run). Called by: the cases.
 */
import { request as plainRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { request as tlsRequest } from "node:https";

// What browsers send for a closed tab.
const CANCEL = constants.NGHTTP2_CANCEL;

export type Version = "1.1" | "2";

export interface Head {
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
}

/** `cut` says how: an error's code, or the reset. */
export type End = { readonly kind: "ended" } | { readonly kind: "cut"; readonly reason: string };

export interface Ask {
  readonly method?: string;
  readonly headers?: { readonly [name: string]: string };
  readonly onText?: (text: string) => void;
}

export interface Exchange {
  /** Rejects when the exchange ended without a head. */
  readonly head: Promise<Head>;
  /** Never rejects. */
  readonly end: Promise<End>;
  /** Resolves when the other side has taken so much that the next piece may follow, or is gone. */
  readonly send: (bytes: Uint8Array) => Promise<void>;
  readonly finish: () => void;
  /** Breaks off, as a closed tab does. */
  readonly leave: () => void;
}

export interface Line {
  readonly open: (path: string, ask?: Ask) => Exchange;
  readonly close: () => void;
}

export function openLine(url: string, version: Version): Line {
  return version === "2" ? new Http2Line(url) : new Http1Line(url);
}

/** The whole answer to a request with a body that is at hand. */
export async function call(
  line: Line,
  path: string,
  ask: Ask & { readonly body?: string | Uint8Array } = {},
): Promise<Head & { readonly text: string }> {
  let text = "";
  const exchange = line.open(path, { ...ask, onText: (piece) => (text += piece) });
  if (ask.body !== undefined) await exchange.send(Buffer.from(ask.body));
  exchange.finish();
  const [head, end] = await Promise.all([exchange.head, exchange.end]);
  if (end.kind === "cut")
    throw new Error(`${ask.method ?? "GET"} ${path}: ${head.status}, then ${end.reason}`);
  return { ...head, text };
}

class Http1Line implements Line {
  readonly #url: string;
  readonly #open = new Set<ClientRequest>();

  constructor(url: string) {
    this.#url = url;
  }

  open = (path: string, { method = "GET", headers = {}, onText }: Ask = {}): Exchange => {
    const send = this.#url.startsWith("https:") ? tlsRequest : plainRequest;
    // A connection for each, as streams have them in browsers.
    const options = { method, headers, agent: false, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"] };
    const request = send(`${this.#url}${path}`, options);
    this.#open.add(request);
    request.once("close", () => this.#open.delete(request));
    const answer = new Answer();
    request.once("error", (error: NodeJS.ErrnoException) => answer.cut(error.code ?? error.message));
    request.once("response", (response: IncomingMessage) => {
      answer.begin(response.statusCode ?? 0, response.headers);
      response.setEncoding("utf8");
      response.on("data", (text: string) => onText?.(text));
      response.once("error", (error: NodeJS.ErrnoException) => answer.cut(error.code ?? error.message));
      response.once("close", () =>
        response.complete ? answer.whole() : answer.cut("closed before its end"),
      );
    });
    request.once("close", () => {
      if (!answer.begun) answer.cut("closed without an answer");
    });
    return { ...answer.promises, ...toSender(request), leave: () => void request.destroy() };
  };

  close = (): void => {
    for (const request of this.#open) request.destroy();
  };
}

class Http2Line implements Line {
  readonly #url: string;
  #session: ClientHttp2Session | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  open = (path: string, { method = "GET", headers = {}, onText }: Ask = {}): Exchange => {
    const stream = this.#connection().request(
      { ":method": method, ":path": path, ...headers },
      { endStream: false },
    );
    const answer = new Answer();
    let failure: string | undefined;
    let ended = false;
    stream.once("response", (fields) => answer.begin(Number(fields[":status"]), fields));
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => onText?.(text));
    stream.once("end", () => (ended = true));
    stream.once(
      "error",
      (error: NodeJS.ErrnoException) => (failure = `${error.code ?? ""} ${error.message}`.trim()),
    );
    stream.once("close", () => {
      if (ended && stream.rstCode === 0 && failure === undefined) answer.whole();
      else answer.cut(failure ?? `reset with code ${stream.rstCode ?? 0}`);
    });
    return { ...answer.promises, ...toSender(stream), leave: () => stream.close(CANCEL) };
  };

  close = (): void => this.#session?.destroy();

  /** Browsers keep one connection to a host, and open another when it is gone or going. */
  #connection(): ClientHttp2Session {
    if (this.#session !== undefined && !this.#session.closed && !this.#session.destroyed)
      return this.#session;
    const session = connect(this.#url, { rejectUnauthorized: false });
    // Each stream hears of it as well.
    session.on("error", () => undefined);
    session.on("goaway", () => {
      if (this.#session === session) this.#session = undefined;
      session.close();
    });
    this.#session = session;
    return session;
  }
}

/** Head and end, each settled once. */
class Answer {
  begun = false;
  readonly promises: Pick<Exchange, "head" | "end">;
  #resolveHead!: (head: Head) => void;
  #rejectHead!: (error: Error) => void;
  #resolveEnd!: (end: End) => void;

  constructor() {
    const head = new Promise<Head>((resolve, reject) => {
      this.#resolveHead = resolve;
      this.#rejectHead = reject;
    });
    // Who waits for the end alone hears of a missing head there.
    head.catch(() => undefined);
    this.promises = { head, end: new Promise((resolve) => (this.#resolveEnd = resolve)) };
  }

  begin(status: number, fields: object): void {
    this.begun = true;
    const headers = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]));
    this.#resolveHead({ status, headers });
  }

  whole(): void {
    this.#resolveEnd({ kind: "ended" });
  }

  cut(reason: string): void {
    this.#rejectHead(new Error(reason));
    this.#resolveEnd({ kind: "cut", reason });
  }
}

function toSender(body: ClientRequest | ClientHttp2Stream): Pick<Exchange, "send" | "finish"> {
  return {
    send: async (bytes) =>
      await new Promise((resolve) => {
        if (body.destroyed) resolve();
        body.once("close", resolve);
        body.write(bytes, () => {
          body.off("close", resolve);
          resolve();
        });
      }),
    finish: () => void body.end(),
  };
}
