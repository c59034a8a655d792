/**
 * Calls somebody else's function; what it throws goes where uncaught errors go and stops nothing here. The same as what
 * EventTarget does with a throwing listener.
 */
export function callReporting<A extends readonly unknown[]>(
  callback: (...args: A) => void,
  ...args: A
): void {
  try {
    callback(...args);
  } catch (error) {
    if (typeof globalThis.reportError === "function") globalThis.reportError(error);
    else {
      queueMicrotask(() => {
        throw error instanceof Error ? error : new Error(String(error));
      });
    }
  }
}
