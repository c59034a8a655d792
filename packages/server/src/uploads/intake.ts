/**
 * What a body passes through on its way to the disk: a bound, a watch for silence, a look at the disk.
 *
 * It stops a body for one reason, the first; what had been stored by then stays. A body of announced length needs no bound of
 * ours, since HTTP ends it there, and is then piped to the disk without a stage between.
 */
import { Transform, type Readable } from "node:stream";

/** `stopped`: somebody else wants the upload, or its task has ended. */
export type StopReason = "too-large" | "silent" | "disk-full" | "stopped";

export interface IntakeOptions {
  /** Bytes that may pass; null when the source can't bring more than it may. */
  readonly boundBytes: number | null;
  readonly stop: AbortSignal;
  readonly silenceMs: number;
  /** Asked while bytes flow. */
  readonly hasRoom: () => Promise<boolean>;
}

// A look at the disk costs a system call; 64 MiB is a quarter of what is kept free by default.
const LOOK_EVERY_BYTES = 67_108_864;

export class Intake {
  readonly source: Readable;
  readonly #options: IntakeOptions;
  readonly #stopper = new AbortController();
  readonly #onStop: () => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #reason: StopReason | null = null;
  #heard = true;
  #lookAt = LOOK_EVERY_BYTES;

  constructor(source: Readable, options: IntakeOptions) {
    this.#options = options;
    this.source = options.boundBytes === null ? source : this.#bounded(source, options.boundBytes);
    this.#onStop = () => this.#stop("stopped");
    if (options.stop.aborted) this.#onStop();
    options.stop.addEventListener("abort", this.#onStop, { once: true });
    // Given up after one to two silences. Not read yet, or held back by a slow disk, a client has no chance to be heard.
    this.#timer = setInterval(() => {
      const isRead = this.source.readableFlowing === true;
      if (!this.#heard && isRead) this.#stop("silent");
      this.#heard = !isRead;
    }, options.silenceMs).unref();
  }

  get reason(): StopReason | null {
    return this.#reason;
  }

  /** Aborted when no more may be stored. */
  get stopped(): AbortSignal {
    return this.#stopper.signal;
  }

  /** Bytes of this body that are stored. */
  stored(bytes: number): void {
    this.#heard = true;
    if (bytes < this.#lookAt) return;
    this.#lookAt = bytes + LOOK_EVERY_BYTES;
    void this.#look();
  }

  release(): void {
    clearInterval(this.#timer);
    this.#options.stop.removeEventListener("abort", this.#onStop);
  }

  async #look(): Promise<void> {
    try {
      if (!(await this.#options.hasRoom())) this.#stop("disk-full");
    } catch {
      // A disk that can't be asked will say so itself at the next write.
    }
  }

  #stop(reason: StopReason): void {
    this.#reason ??= reason;
    this.#stopper.abort();
  }

  /** The chunk that reaches the bound waits for the end: were there more, the upload would look whole and be cut short. */
  #bounded(source: Readable, boundBytes: number): Readable {
    let left = boundBytes;
    let last: Buffer | undefined;
    const limiter = new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        if (last !== undefined || chunk.length > left) {
          last = undefined;
          this.#stop("too-large");
          done();
          return;
        }
        left -= chunk.length;
        if (left === 0) last = chunk;
        done(null, left === 0 ? undefined : chunk);
      },
      flush: (done) => done(null, this.#reason === null ? last : undefined),
    });
    // A client that left before we came here says nothing any more.
    if (source.destroyed) return limiter.end();
    // pipe forwards no errors: a source that breaks ends the body where it broke.
    source.once("error", () => limiter.end()).once("close", () => limiter.end());
    return source.pipe(limiter);
  }
}
