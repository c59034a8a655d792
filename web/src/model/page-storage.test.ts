import { expect, test } from "vitest";
import { openPageStorage } from "./page-storage.js";

test("a browser that blocks site data costs the memory, not the page", () => {
  const storage = openPageStorage(() => {
    throw new DOMException("blocked", "SecurityError");
  }, "/");
  storage.write("batch", "b");
  storage.remove("batch");
  expect(storage.read("batch")).toBeNull();
});
