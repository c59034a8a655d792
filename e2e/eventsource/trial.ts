/**
 * One case under way, in whatever place it runs: a page, a worker, Node. Imports nothing, so that the cases can be bundled for browsers.
 *
 * Promises that sources opened through it are closed afterwards, and that a case that hears nothing fails within its time.
 * Called by: run-cases.ts, and every case.
 */

export interface Surroundings {
  readonly EventSource: typeof EventSource;
  /** Of the resources, under another origin: `http://127.0.0.1:1234/eventsource/`. */
  readonly elsewhere: string;
}

// The longest wait for a reconnection time of 3 s; the rest is for a busy machine.
const TRIAL_MS = 40_000;

export class Trial {
  readonly EventSource: typeof EventSource;
  readonly elsewhere: string;
  readonly #sources: EventSource[] = [];
  #fail: (error: Error) => void = () => undefined;

  constructor(surroundings: Surroundings) {
    this.EventSource = surroundings.EventSource;
    this.elsewhere = surroundings.elsewhere;
  }

  /** Rejects with what was wrong. */
  async run(work: (trial: Trial) => Promise<void> | void): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#fail = reject;
        timer = setTimeout(() => reject(new Error(`nothing within ${TRIAL_MS} ms`)), TRIAL_MS);
        Promise.resolve(work(this)).then(resolve, reject);
      });
    } finally {
      clearTimeout(timer);
      for (const source of this.#sources) source.close();
    }
  }

  /** Relative to the resources. Any value, since the constructor makes a string of it. */
  source(url: unknown, init?: EventSourceInit): EventSource {
    const source = Reflect.construct(
      this.EventSource,
      init === undefined ? [url] : [url, init],
    ) as EventSource;
    this.#sources.push(source);
    return source;
  }

  equal(actual: unknown, expected: unknown, what: string): void {
    const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)];
    if (got !== wanted) throw new Error(`${what}: got ${got}, expected ${wanted}`);
  }

  /** The next event of that name. */
  async next(source: EventSource, type: string): Promise<MessageEvent<string>> {
    return await new Promise((resolve) => {
      source.addEventListener(type, (event) => resolve(event as MessageEvent<string>), { once: true });
    });
  }

  /** The first events among these names, as `[type, data, lastEventId]`. */
  async messages(
    source: EventSource,
    count: number,
    types: readonly string[] = ["message"],
  ): Promise<Heard[]> {
    return await new Promise((resolve) => {
      const heard: Heard[] = [];
      for (const type of types) {
        source.addEventListener(type, (event: MessageEvent<string>) => {
          if (heard.push([event.type, event.data, event.lastEventId]) === count) resolve(heard);
        });
      }
    });
  }

  /** The trial fails when one of these events comes. */
  never(source: EventSource, ...types: readonly string[]): void {
    for (const type of types) {
      source.addEventListener(type, () => this.#fail(new Error(`there was an event "${type}"`)));
    }
  }

  async pause(ms: number): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
  }
}

export type Heard = readonly [type: string, data: string, lastEventId: string];
