/**
 * A sink over a Web `Response`: for hosts that are handed a `Request` and return a `Response` (Hono, Deno, Bun, workers).
 *
 * Promises: `queuedBytes` is every byte that the body's reader has not taken; what waits goes out as one chunk at its next
 * read. A reader that cancels the body, or the request's signal, is a close, once. Memory is as bounded as the session that
 * writes here: the stream itself holds nothing ahead of its reader.
 * Refuses: to know what lies behind the reader. A host that reads ahead of its socket holds what it read itself.
 * Called by: `Channel.respond`, and whoever opens a session on a Web response.
 */
import type { Sink } from "./sink.js";

export interface WebStreamOptions {
  readonly headers?: { readonly [name: string]: string } | undefined;
  /** The request's signal: some hosts abort it and leave the body uncancelled. */
  readonly signal?: AbortSignal | undefined;
}

export interface WebStream {
  readonly sink: Sink;
  /** Status 200; its body is what the sink is given. */
  readonly response: Response;
}

/** A response that is still being written, and the sink that writes it. */
export function webStream(options: WebStreamOptions = {}): WebStream {
  const { signal } = options;
  const drains: (() => void)[] = [];
  const closes: ((outcome: { finished: boolean }) => void)[] = [];
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  // The reader asked and there was nothing: the next write is its answer.
  let asked = false;
  let ended = false;
  let closed = false;
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;

  // What a released reader left unread; it lies in the stream's own queue, which a mark of 0 bytes keeps empty otherwise.
  const unreadBytes = (): number => Math.max(0, -(controller?.desiredSize ?? 0));

  const close = (finished: boolean): void => {
    if (closed) return;
    closed = true;
    waiting = [];
    waitingBytes = 0;
    signal?.removeEventListener("abort", abort);
    for (const listener of closes.splice(0)) listener({ finished });
  };
  const handOver = (): void => {
    asked = false;
    // A copy: a reader owns what it reads and may give its memory away, and frames are shared by every connection.
    const chunk = concatenate(waiting, waitingBytes);
    waiting = [];
    waitingBytes = 0;
    controller?.enqueue(chunk);
  };
  const finish = (): void => {
    if (closed) return;
    controller?.close();
    close(true);
  };
  const destroy = (): void => {
    if (closed) return;
    controller?.error(new Error("the stream was let go before its end"));
    close(false);
  };
  const abort = (): void => destroy();

  const body = new ReadableStream<Uint8Array>(
    {
      start(made) {
        controller = made;
      },
      pull() {
        if (waitingBytes === 0) asked = true;
        else handOver();
        if (ended) finish();
        else for (const listener of drains) listener();
      },
      cancel: () => close(false),
    },
    { highWaterMark: 0, size: (chunk) => chunk.byteLength },
  );
  if (signal?.aborted === true) queueMicrotask(destroy);
  else signal?.addEventListener("abort", abort);

  return {
    response: new Response(body, { headers: options.headers ?? {} }),
    sink: {
      get queuedBytes() {
        return waitingBytes + unreadBytes();
      },
      write(bytes) {
        if (closed || ended || bytes.byteLength === 0) return;
        waiting.push(bytes);
        waitingBytes += bytes.byteLength;
        if (asked) handOver();
      },
      end() {
        if (closed || ended) return;
        ended = true;
        if (waitingBytes === 0) finish();
      },
      destroy,
      onDrain: (listener) => void drains.push(listener),
      onClose: (listener) => void closes.push(listener),
    },
  };
}

function concatenate(parts: readonly Uint8Array[], byteLength: number): Uint8Array {
  const whole = new Uint8Array(byteLength);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}
