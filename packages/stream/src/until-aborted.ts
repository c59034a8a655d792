/**
 * The values of an iterable until a signal aborts, also while the next value is waited for.
 *
 * Promises: the source is told that nothing more is wanted, as `for await` does when it is left; it is not waited for, since a
 * generator hears of it only where it stands at a `yield`. Nothing is left on the signals. Called by: `Channel.from`.
 */
export async function* untilAborted<T>(
  values: Iterable<T | PromiseLike<T>> | AsyncIterable<T>,
  signals: readonly AbortSignal[],
): AsyncGenerator<Awaited<T>> {
  const iterator =
    Symbol.asyncIterator in values ? values[Symbol.asyncIterator]() : values[Symbol.iterator]();
  const isAborted = (): boolean => signals.some(({ aborted }) => aborted);
  let left = true;
  try {
    while (!isAborted()) {
      // oxlint-disable-next-line no-await-in-loop -- values come one after the other
      const next = await nextOrAbort(async () => await iterator.next(), signals);
      if (next === "aborted") return;
      if (next.done === true) {
        left = false;
        return;
      }
      yield next.value; // which waits for a promise, as `for await` does
    }
  } catch (error) {
    left = false; // it has ended by itself
    throw error;
  } finally {
    if (left) Promise.resolve(iterator.return?.()).catch(() => undefined); // nobody listens any more
  }
}

async function nextOrAbort<T>(
  next: () => Promise<T>,
  signals: readonly AbortSignal[],
): Promise<T | "aborted"> {
  return await new Promise((resolve, reject) => {
    const forget = (): void => {
      for (const signal of signals) signal.removeEventListener("abort", onAbort);
    };
    const onAbort = (): void => {
      forget();
      resolve("aborted");
    };
    for (const signal of signals) signal.addEventListener("abort", onAbort);
    next().then(resolve, reject).finally(forget);
  });
}
