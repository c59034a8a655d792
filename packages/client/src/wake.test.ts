import { afterEach, expect, test, vi } from "vitest";
import { ManualEnvironment, settled } from "./manual-environment.test.kit.js";
import { StableEventSource } from "./stable-event-source.js";
import { INTERNALS } from "./stream-options.js";
import { listenForWake } from "./wake.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A window, its document and the device's connection, as far as waking goes. */
function stubPage(): {
  window: EventTarget;
  document: EventTarget & { visibilityState: string };
  connection: EventTarget;
} {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  const connection = new EventTarget();
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("document", document);
  vi.stubGlobal("navigator", { connection });
  return { window, document, connection };
}

const pageshow = (persisted: boolean): Event => Object.assign(new Event("pageshow"), { persisted });

test("the network coming back or changing, the page shown and the page out of the cache each wake", () => {
  const { window, document, connection } = stubPage();
  const onWake = vi.fn<() => void>();
  listenForWake(onWake);
  window.dispatchEvent(new Event("online"));
  window.dispatchEvent(pageshow(true));
  connection.dispatchEvent(new Event("change"));
  expect(onWake).toHaveBeenCalledTimes(3);
  document.visibilityState = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
  expect(onWake).toHaveBeenCalledTimes(4);
});

test("a page being hidden, or loaded for the first time, wakes nobody", () => {
  const { window, document } = stubPage();
  const onWake = vi.fn<() => void>();
  listenForWake(onWake);
  document.dispatchEvent(new Event("visibilitychange"));
  window.dispatchEvent(pageshow(false));
  expect(onWake).not.toHaveBeenCalled();
});

test("stopped, it leaves no listener behind", () => {
  const { window, document, connection } = stubPage();
  const onWake = vi.fn<() => void>();
  listenForWake(onWake)();
  document.visibilityState = "visible";
  window.dispatchEvent(new Event("online"));
  window.dispatchEvent(pageshow(true));
  connection.dispatchEvent(new Event("change"));
  document.dispatchEvent(new Event("visibilitychange"));
  expect(onWake).not.toHaveBeenCalled();
});

test("without a window it does nothing, and stopping it is harmless", () => {
  expect(() => listenForWake(() => undefined)()).not.toThrow();
});

test("a source that waits looks a moment after it was woken, and never before the server allows", async () => {
  const { window, connection } = stubPage();
  const environment = new ManualEnvironment(0.999);
  const answers = [503, 503, 429].map(
    (status) => new Response("", { status, headers: status === 429 ? { "Retry-After": "60" } : {} }),
  );
  const askedAtMs: number[] = [];
  const source = new StableEventSource("http://holdfast.test/events", {
    retryDelay: 30_000,
    fetch: () => {
      askedAtMs.push(environment.now());
      const answer = answers.shift();
      return answer === undefined ? Promise.reject(new TypeError("network")) : Promise.resolve(answer);
    },
    [INTERNALS]: { environment },
  });
  await settled();
  for (const wake of [
    () => window.dispatchEvent(new Event("online")),
    () => connection.dispatchEvent(new Event("change")),
  ]) {
    wake();
    // Once more within the moment changes nothing.
    wake();
    environment.advance(249);
    await settled();
    environment.advance(1);
    await settled();
  }
  expect(askedAtMs).toEqual([0, 250, 500]);
  window.dispatchEvent(pageshow(true));
  environment.advance(59_999);
  await settled();
  expect(askedAtMs).toHaveLength(3);
  source.close();
});
