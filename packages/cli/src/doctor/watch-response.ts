/**
 * Reads one response as a client does, and writes down when what came: bytes, events, the end and its kind.
 *
 * Promises: it settles within `forMs` after the request, whatever the other side does; it reads no faster and no slower than it
 * comes. Refuses: redirects, which a doctor reports rather than follows. Called by: survey.ts.
 */
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect as http2Connect, constants, type ClientHttp2Session } from "node:http2";
import { request as httpsRequest } from "node:https";
import type { Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate } from "node:zlib";
import { createParser } from "eventsource-parser";
import type { NoResponse, Protocol, Read, ResponseEnd, SeenEvent, StreamObservation } from "./observation.js";

export interface WatchOptions {
  readonly url: URL;
  readonly protocol: Protocol;
  readonly headers: { readonly [name: string]: string };
  readonly forMs: number;
  /** Leave as soon as this has come; always stays for `forMs` unless given. */
  readonly until?: (events: readonly SeenEvent[]) => boolean;
  readonly signal?: AbortSignal | undefined;
}

const MAX_BODY_CHARS = 1_024;
// A doctor looks at a stream for a minute; what sends more than this is none, or floods.
const MAX_BYTES = 16 * 1_048_576;

export async function watchResponse(options: WatchOptions): Promise<StreamObservation | NoResponse> {
  const { protocol, signal } = options;
  if (signal?.aborted === true) return { protocol, error: "not asked any more", code: "STOPPED", atMs: 0 };
  return await new Promise((resolve) => {
    const notes = new Notes(options, resolve);
    if (options.protocol === "h2") watchHttp2(options, notes);
    else watchHttp1(options, notes);
  });
}

function watchHttp1({ url, headers }: WatchOptions, notes: Notes): void {
  // Trust is judged apart; here everything is to be seen that a visitor who clicks the warning away would see.
  const open = url.protocol === "https:" ? httpsRequest : httpRequest;
  const request = open(url, { headers, agent: false, rejectUnauthorized: false });
  notes.onLeave(() => request.destroy());
  request.on("response", (response: IncomingMessage) => {
    notes.head(response.statusCode ?? 0, response.headers);
    notes.read(response);
    response.on("end", () => notes.end({ kind: response.complete ? "ended" : "cut", atMs: notes.now }));
    response.on("error", () => notes.end({ kind: "cut", atMs: notes.now }));
  });
  request.on("error", (error: NodeJS.ErrnoException) => notes.fail(error));
  request.end();
}

function watchHttp2({ url, headers }: WatchOptions, notes: Notes): void {
  const session: ClientHttp2Session = http2Connect(url.origin, { rejectUnauthorized: false });
  notes.onLeave(() => session.destroy());
  session.on("error", (error: NodeJS.ErrnoException) => notes.fail(error));
  const stream = session.request({ ":path": `${url.pathname}${url.search}`, ...headers });
  stream.on("response", (head) => {
    notes.head(head[":status"] ?? 0, head);
    notes.read(stream);
  });
  stream.on("error", () => undefined); // its close follows
  stream.on("close", () => {
    const { rstCode } = stream;
    if (rstCode === constants.NGHTTP2_NO_ERROR) notes.end({ kind: "ended", atMs: notes.now });
    else notes.end({ kind: "reset", atMs: notes.now, code: toCodeName(rstCode) });
  });
  stream.end();
}

const CODE_NAMES: ReadonlyMap<number | undefined, string> = new Map(
  Object.entries(constants)
    .filter(([name]) => /^NGHTTP2_[A-Z0-9_]+$/.test(name) && isErrorName(name))
    .map(([name, code]) => [Number(code), name.slice("NGHTTP2_".length)]),
);

function isErrorName(name: string): boolean {
  return /_(ERROR|TIMEOUT|CLOSED|STREAM|CANCEL|CALM|SECURITY|REQUIRED)$/.test(name);
}

function toCodeName(code: number | undefined): string {
  return CODE_NAMES.get(code) ?? `code ${String(code)}`;
}

class Notes {
  readonly #options: WatchOptions;
  readonly #settle: (seen: StreamObservation | NoResponse) => void;
  readonly #startMs = performance.now();
  readonly #deadline: NodeJS.Timeout;
  readonly #reads: Read[] = [];
  readonly #events: SeenEvent[] = [];
  #head: Pick<StreamObservation, "status" | "headers" | "headersMs"> | undefined;
  #body = "";
  #bytes = 0;
  #leave: () => void = () => undefined;
  #settled = false;
  readonly #abort = () => this.end({ kind: "left", atMs: this.now });

  constructor(options: WatchOptions, settle: (seen: StreamObservation | NoResponse) => void) {
    this.#options = options;
    this.#settle = settle;
    this.#deadline = setTimeout(this.#abort, options.forMs);
    options.signal?.addEventListener("abort", this.#abort, { once: true });
  }

  get now(): number {
    return performance.now() - this.#startMs;
  }

  onLeave(leave: () => void): void {
    this.#leave = leave;
  }

  head(
    status: number,
    headers: { readonly [name: string]: string | number | readonly string[] | undefined },
  ): void {
    const flat = Object.entries(headers)
      .filter(([name]) => !name.startsWith(":"))
      .map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : String(value)]);
    this.#head = { status, headers: Object.fromEntries(flat), headersMs: this.now };
  }

  read(response: Readable): void {
    const parser = createParser({
      onEvent: ({ event = "message", id, data }) => {
        this.#events.push({ atMs: this.now, event, id, data });
        if (this.#options.until?.(this.#events) === true) this.#abort();
      },
    });
    const decoder = new TextDecoder();
    const unpack = toDecompressor(this.#head?.headers["content-encoding"]);
    const take = (chunk: Buffer) => {
      if (this.#settled) return;
      const text = decoder.decode(chunk, { stream: true });
      if (this.#body.length < MAX_BODY_CHARS) this.#body += text.slice(0, MAX_BODY_CHARS - this.#body.length);
      parser.feed(text);
    };
    unpack?.on("data", take);
    unpack?.on("error", () => undefined); // what can't be unpacked shows no event, which is what a browser would make of it
    response.on("data", (chunk: Buffer) => {
      if (this.#settled) return;
      this.#reads.push({ atMs: this.now, bytes: chunk.byteLength });
      this.#bytes += chunk.byteLength;
      if (unpack === undefined) take(chunk);
      else unpack.write(chunk);
      if (this.#bytes > MAX_BYTES) this.#abort();
    });
  }

  fail(error: NodeJS.ErrnoException): void {
    if (this.#head !== undefined) return this.end({ kind: "cut", atMs: this.now });
    const { protocol } = this.#options;
    this.#finish({ protocol, error: error.message, code: error.code ?? "ERROR", atMs: this.now });
  }

  end(end: ResponseEnd): void {
    const { protocol, headers: sentHeaders } = this.#options;
    if (this.#head === undefined) {
      const reset = end.kind === "reset";
      const stopped = this.#options.signal?.aborted === true;
      this.#finish({
        protocol,
        error: reset ? `the stream was reset before any header: ${end.code}` : "no header came",
        code: reset ? end.code : stopped ? "STOPPED" : end.kind === "left" ? "NO_HEADERS" : "CLOSED",
        atMs: this.now,
      });
      return;
    }
    this.#finish({
      protocol,
      sentHeaders,
      ...this.#head,
      reads: this.#reads,
      events: this.#events,
      end,
      body: this.#body,
    });
  }

  #finish(seen: StreamObservation | NoResponse): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#deadline);
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#leave();
    this.#settle(seen);
  }
}

const DECOMPRESSORS: { readonly [encoding: string]: () => Transform } = {
  gzip: createGunzip,
  br: createBrotliDecompress,
  deflate: createInflate,
};

function toDecompressor(encoding = "identity"): Transform | undefined {
  return DECOMPRESSORS[encoding]?.();
}
