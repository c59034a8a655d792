// A fast upload is written ten thousand times a second; its row, and whoever watches, need not move as often.
const TELL_EVERY_MS = 20;

/** Passes on the newest length, at most fifty times a second; what was stored before a stall is told as well. */
export class PacedTelling {
  readonly #tell: (length: number) => void;
  #length: number;
  #toldMs = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(length: number, tell: (length: number) => void) {
    this.#length = length;
    this.#tell = tell;
  }

  stored(length: number): void {
    this.#length = length;
    if (performance.now() - this.#toldMs >= TELL_EVERY_MS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), TELL_EVERY_MS);
  }

  /** Tells now what is still to be told; needed once at the end. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#toldMs = performance.now();
    this.#tell(this.#length);
  }
}
