/**
 * What the doctor saw, before any judgement: plain data, made by survey.ts, read by the findings. Times are milliseconds of one
 * monotonic clock since the request was sent.
 */
export type Protocol = "http/1.1" | "h2";

export interface Read {
  readonly atMs: number;
  readonly bytes: number;
}

export interface SeenEvent {
  readonly atMs: number;
  /** `message` when the frame named none. */
  readonly event: string;
  readonly id: string | undefined;
  readonly data: string;
}

/** How a response ended: `left` by the doctor, `ended` cleanly, `cut` without its last chunk, `reset` with an HTTP/2 code. */
export type ResponseEnd =
  | { readonly kind: "left" | "ended" | "cut"; readonly atMs: number }
  | { readonly kind: "reset"; readonly atMs: number; readonly code: string };

export interface StreamObservation {
  readonly protocol: Protocol;
  readonly sentHeaders: { readonly [name: string]: string };
  readonly status: number;
  readonly headers: { readonly [name: string]: string };
  readonly headersMs: number;
  readonly reads: readonly Read[];
  /** Decompressed where the response was compressed. */
  readonly events: readonly SeenEvent[];
  readonly end: ResponseEnd;
  /** The first kilobyte, when it is no stream of events. */
  readonly body: string;
}

/** No response came: the words of the system, and what it was about. */
export interface NoResponse {
  readonly protocol: Protocol;
  readonly error: string;
  readonly code: string;
  readonly atMs: number;
}

export interface ConnectionFacts {
  readonly host: string;
  readonly port: number;
  readonly addresses: readonly string[];
  readonly lookupMs: number;
  readonly connectMs: number | undefined;
  readonly tls: TlsFacts | undefined;
  /** What failed: DNS, TCP or TLS, in the system's words. */
  readonly error:
    | { readonly step: "dns" | "tcp" | "tls"; readonly code: string; readonly message: string }
    | undefined;
}

export interface TlsFacts {
  readonly version: string;
  /** What was agreed on when `h2` and `http/1.1` were offered. */
  readonly alpn: string | undefined;
  /** Undefined: the certificate is trusted. */
  readonly untrusted: string | undefined;
  readonly validDays: number;
}

/** What a server with `--probe` tells of the way between. Delays are one way, by a clock offset measured on the same way. */
export interface ProbeFacts {
  /** Delay of each event, in order. */
  readonly delaysMs: readonly number[];
  readonly intervalMs: number;
  /** Headers of a stream whose first event came after `silentMs`. */
  readonly headersMs: number;
  readonly silentMs: number;
  /** Stream ids that two requests for one URL were given. */
  readonly streamIds: readonly [string, string];
  /** Bytes that had reached the server a second after half of the body was sent; of that half. */
  readonly uploadSeenBytes: number;
  readonly uploadSentBytes: number;
  /** Status of the whole upload. */
  readonly uploadStatus: number;
  /** Until the server knew that a client had gone; undefined: not within the time waited. */
  readonly goneNoticedMs: number | undefined;
  readonly goneWaitedMs: number;
}

export interface Survey {
  readonly url: string;
  readonly watchedMs: number;
  readonly connection: ConnectionFacts;
  /** The stream as a browser over HTTP/1.1 reads it, uncompressed. */
  readonly plain: StreamObservation | NoResponse | undefined;
  /** The same with `Accept-Encoding: gzip, br`, begun a little later. */
  readonly compressible: StreamObservation | NoResponse | undefined;
  /** The same over HTTP/2, when TLS offers it. */
  readonly http2: StreamObservation | NoResponse | undefined;
  /** Again with the last id as `Last-Event-ID`; undefined when no event had one. */
  readonly resumed: StreamObservation | NoResponse | undefined;
  readonly resumedFrom: string | undefined;
  /** With an Origin header of another site, when that was asked. */
  readonly crossOrigin: StreamObservation | NoResponse | undefined;
  readonly origin: string | undefined;
  /** Server's clock minus ours, by the Date header, whose step is a second. */
  readonly clockSkewMs: number | undefined;
  readonly probe: ProbeFacts | undefined;
}

/** The response, when there was one. */
export function answered(seen: StreamObservation | NoResponse | undefined): StreamObservation | undefined {
  return seen !== undefined && "status" in seen ? seen : undefined;
}
