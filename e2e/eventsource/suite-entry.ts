/** The bundle's beginning: puts the strict class in the place of the browser's own, as a polyfill does, and offers `runSuite`. */
import { EventSource } from "@holdfast/client/eventsource";
import { runCases, type Outcome } from "./run-cases.js";

Object.defineProperty(globalThis, "EventSource", { value: EventSource, writable: true, configurable: true });
Object.defineProperty(globalThis, "runSuite", {
  value: async (elsewhere: string, inBrowser: boolean): Promise<readonly Outcome[]> =>
    await runCases({ EventSource, elsewhere }, inBrowser),
});
