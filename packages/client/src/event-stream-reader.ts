/**
 * A response's body into events: bytes, UTF-8 whatever the charset says, text, events. One reader for StableEventSource and the strict
 * EventSource. Called by: connection.ts, eventsource.ts.
 */
import { EventStreamParser, type StreamEventSink } from "./event-stream-parser.js";

export interface EventStreamSink extends StreamEventSink {
  /** Something came, be it half a comment. */
  bytes(): void;
  /** Asked before anything is told: whoever reads may have closed in a listener. */
  isOver(): boolean;
}

// One event may be large (a task's result, a file in base64: two pieces of 7 million characters are a case of the public contract tests); one that
// never ends must not fill memory.
const MAX_EVENT_CHARS = 16_777_216;

/** Settles when the body has ended or the sink is over; rejects when the body breaks. An event that was not complete is dropped. */
export async function readEventStream(response: Response, sink: EventStreamSink): Promise<void> {
  const unlessOver =
    <T extends readonly unknown[]>(tell: (...args: T) => void) =>
    (...args: T): void => {
      if (!sink.isOver()) tell(...args);
    };
  const parser = new EventStreamParser(
    {
      event: unlessOver((event) => sink.event(event)),
      id: unlessOver((id) => sink.id(id)),
      retry: unlessOver((retryMs) => sink.retry(retryMs)),
      oversized: unlessOver(() => sink.oversized()),
    },
    MAX_EVENT_CHARS,
  );
  // It strips one BOM, and holds back the bytes of a character that is not whole.
  const decoder = new TextDecoder();
  // No body is an empty one.
  const reader = (response.body ?? new Blob([]).stream()).getReader();
  while (!sink.isOver()) {
    // oxlint-disable-next-line no-await-in-loop -- a stream is read in order
    const { done, value } = await reader.read();
    if (done) return;
    sink.bytes();
    parser.feed(decoder.decode(value, { stream: true }));
  }
  // A fetch of somebody's own may not have heeded the signal; where it has, there is nothing left to cancel, which is an error that says nothing.
  await reader.cancel().catch(() => undefined);
}
