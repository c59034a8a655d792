/**
 * The wrapper that everybody writes first: on an error close, wait, make another EventSource. What the scenarios measure against; it is kept as
 * people write it, faults included.
 */
import { EventSource } from "@holdfast/client/eventsource";

export interface NaiveOptions {
  readonly maxRetries?: number;
  readonly retryDelay?: number;
}

export class NaiveSource {
  onerror: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent<string>) => void) | null = null;
  readonly #url: string;
  readonly #maxRetries: number;
  readonly #retryDelay: number;
  #retries = 0;
  #abandoned = false;
  #source: EventSource;

  constructor(url: string, { maxRetries = Infinity, retryDelay = 2000 }: NaiveOptions = {}) {
    this.#url = url;
    this.#maxRetries = maxRetries;
    this.#retryDelay = retryDelay;
    this.#source = this.#connect();
  }

  #connect(): EventSource {
    const source = new EventSource(this.#url);
    source.addEventListener("open", () => {
      this.#retries = 0;
    });
    source.addEventListener("message", (event) => this.onmessage?.(event));
    source.addEventListener("error", (event) => {
      source.close();
      this.onerror?.(event);
      this.#retries += 1;
      if (this.#retries > this.#maxRetries) return;
      setTimeout(() => {
        if (!this.#abandoned) this.#source = this.#connect();
      }, this.#retryDelay);
    });
    return source;
  }

  get readyState(): number {
    return this.#source.readyState;
  }

  addEventListener(type: string, listener: (event: Event) => void): void {
    this.#source.addEventListener(type, listener);
  }

  close(): void {
    this.#source.close();
  }

  /** No part of the wrapper: without it a test could not end, since `close()` leaves the pending retry alive. */
  abandon(): void {
    this.#abandoned = true;
    this.#source.close();
  }
}
