import { afterEach, expect, test, vi } from "vitest";
import { listenForWake } from "./wake.js";

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A window and its document, as far as waking goes. */
function stubPage(): { window: EventTarget; document: EventTarget & { visibilityState: string } } {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "hidden" });
  vi.stubGlobal("addEventListener", window.addEventListener.bind(window));
  vi.stubGlobal("document", document);
  return { window, document };
}

test("the network coming back, the page shown and the page out of the cache each wake", () => {
  const { window, document } = stubPage();
  const onWake = vi.fn<() => void>();
  listenForWake(onWake);
  window.dispatchEvent(new Event("online"));
  window.dispatchEvent(new Event("pageshow"));
  expect(onWake).toHaveBeenCalledTimes(2);
  document.visibilityState = "visible";
  document.dispatchEvent(new Event("visibilitychange"));
  expect(onWake).toHaveBeenCalledTimes(3);
});

test("a page being hidden wakes nobody", () => {
  const { document } = stubPage();
  const onWake = vi.fn<() => void>();
  listenForWake(onWake);
  document.dispatchEvent(new Event("visibilitychange"));
  expect(onWake).not.toHaveBeenCalled();
});

test("stopped, it leaves no listener behind", () => {
  const { window, document } = stubPage();
  const onWake = vi.fn<() => void>();
  listenForWake(onWake)();
  document.visibilityState = "visible";
  window.dispatchEvent(new Event("online"));
  document.dispatchEvent(new Event("visibilitychange"));
  expect(onWake).not.toHaveBeenCalled();
});

test("without a window it does nothing, and stopping it is harmless", () => {
  expect(() => listenForWake(() => undefined)()).not.toThrow();
});
