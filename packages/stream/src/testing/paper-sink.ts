import type { Sink } from "../sink.js";

/** A sink that writes on paper: its reader takes everything at once, or nothing while `stalled`. */
export class PaperSink implements Sink {
  readonly frames: string[] = [];
  stalled = false;
  ended = false;
  destroyed = false;
  #queued = 0;
  #closed = false;
  readonly #drains: (() => void)[] = [];
  readonly #closes: ((outcome: { finished: boolean }) => void)[] = [];

  get queuedBytes(): number {
    return this.#queued;
  }

  /** Names of the events written so far; the first line of a comment. */
  get events(): string[] {
    return this.frames.map((frame) => /^event: (.*)$/m.exec(frame)?.[1] ?? frame.split("\n")[0] ?? "");
  }

  /** Data of the events of that name. */
  data(event: string): Record<string, unknown>[] {
    return this.frames
      .filter((frame) => frame.includes(`event: ${event}\n`))
      .map((frame) => JSON.parse(/^data: ([^\n]*)$/m.exec(frame)?.[1] ?? "null") as Record<string, unknown>);
  }

  write(bytes: Uint8Array): void {
    if (this.#closed || this.ended) return;
    const text = new TextDecoder().decode(bytes);
    for (const frame of text.split("\n\n")) if (frame !== "") this.frames.push(`${frame}\n`);
    if (this.stalled) this.#queued += bytes.byteLength;
  }

  /** The reader reads again and takes what was queued. */
  read(): void {
    this.stalled = false;
    this.#queued = 0;
    for (const listener of this.#drains) listener();
    if (this.ended) this.#close(true);
  }

  end(): void {
    this.ended = true;
    if (!this.stalled) this.#close(true);
  }

  destroy(): void {
    this.destroyed = true;
    this.#close(false);
  }

  onDrain(listener: () => void): void {
    this.#drains.push(listener);
  }

  onClose(listener: (outcome: { finished: boolean }) => void): void {
    this.#closes.push(listener);
  }

  #close(finished: boolean): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const listener of this.#closes) listener({ finished });
  }
}
