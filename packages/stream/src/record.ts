/**
 * What the engine carries: two classes of event, and nothing about what they mean.
 *
 * A milestone was stored before it came here; it has a position in the store's one total order and is never lost, merged
 * or reordered. A latest value is state: on each connection only the newest of a topic matters.
 */

/** A stored event. `frame` is encoded once and shared by every connection. */
export interface Milestone {
  /** What the event belongs to; a held-back latest value of the same topic goes out before it. */
  readonly topic: string;
  /** The `id:` in the frame. */
  readonly cursor: string;
  /** Place in the store's total order; grows strictly. */
  readonly position: number;
  readonly frame: Uint8Array;
  /** Nothing of this topic follows. */
  readonly ending: boolean;
}

/** The newest state of a topic. Encoded when the first connection takes it, then shared. */
export class Latest {
  readonly topic: string;
  /** Grows with every change of the topic; a connection never goes back to a smaller one. */
  readonly revision: number;
  readonly #encode: () => Uint8Array;
  #frame: Uint8Array | undefined;

  constructor(topic: string, revision: number, encode: () => Uint8Array) {
    this.topic = topic;
    this.revision = revision;
    this.#encode = encode;
  }

  get frame(): Uint8Array {
    this.#frame ??= this.#encode();
    return this.#frame;
  }
}

const encoder = new TextEncoder();

/** UTF-8 bytes of a frame, ready to be shared. */
export function toFrameBytes(text: string): Uint8Array {
  return encoder.encode(text);
}
