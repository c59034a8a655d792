/**
 * Where a session's bytes go. The engine knows no sockets: a sink wraps one response of one host.
 *
 * A sink never throws. It owns the queue above the kernel's buffers; the session bounds that queue by asking for its size.
 */
export interface Sink {
  /** Bytes accepted but not yet taken by the kernel. */
  readonly queuedBytes: number;
  /** Queues the bytes; they are shared with other sinks and must not be changed. A no-op once closed. */
  write(bytes: Uint8Array): void;
  /** Ends the response cleanly after what is queued. */
  end(): void;
  /** Lets go at once; queued bytes are dropped. */
  destroy(): void;
  /** Called each time the queue has become empty. */
  onDrain(listener: () => void): void;
  /** Called exactly once, when the response has been sent whole (`finished`) or the peer has gone before that. */
  onClose(listener: (outcome: { readonly finished: boolean; readonly error?: Error }) => void): void;
}
