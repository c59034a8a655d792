/**
 * The bundle's beginning: puts the strict class in the place of the browser's own, as a polyfill does, and offers `runSuite`, which after the cases lets
 * StableEventSource come back from a break where it is called.
 */
import { StableEventSource } from "@holdfast/client";
import { EventSource } from "@holdfast/client/eventsource";
import { runCases, type Outcome } from "./run-cases.js";

/** What a place answers. */
export interface SuiteAnswer {
  readonly outcomes: readonly Outcome[];
  /** What StableEventSource heard: before the break, after it. */
  readonly stable: readonly string[];
}

async function comeBack(): Promise<string[]> {
  // The path that workers know too.
  const path = `resources/status-reconnect.py?status=200&ok_first&id=stable-${Date.now()}`;
  const source = new StableEventSource(new URL(path, globalThis.location.href));
  const heard: string[] = [];
  await new Promise<void>((resolve) => {
    source.addEventListener("message", ({ data }) => {
      if (heard.push(data) === 2) resolve();
    });
  });
  source.close();
  return heard;
}

const place = (value: unknown): void =>
  void Object.defineProperty(globalThis, "EventSource", {
    value,
    writable: true,
    enumerable: false,
    configurable: true,
  });

/** The browser's own, against which the cases themselves are measured. */
const native = globalThis.EventSource;

place(EventSource);
Object.defineProperty(globalThis, "runNative", {
  value: async (elsewhere: string): Promise<readonly Outcome[]> => {
    place(native);
    return await runCases({ EventSource: native, elsewhere }, true);
  },
});
Object.defineProperty(globalThis, "runSuite", {
  value: async (elsewhere: string, inBrowser: boolean): Promise<SuiteAnswer> => ({
    outcomes: await runCases({ EventSource, elsewhere }, inBrowser),
    stable: await comeBack(),
  }),
});
