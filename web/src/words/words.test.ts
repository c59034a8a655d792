import { expect, test } from "vitest";
import { WORDS } from "./words.js";

/** `failure.expired: string` for every leaf. */
function listEntries(words: object, path = ""): readonly string[] {
  return Object.entries(words).flatMap(([key, value]: [string, unknown]) =>
    typeof value === "object" && value !== null
      ? listEntries(value, `${path}${key}.`)
      : [`${path}${key}: ${typeof value}`],
  );
}

test("both languages say the same things", () => {
  const entries = listEntries(WORDS.en).toSorted();
  expect(entries.length).toBeGreaterThan(80);
  expect(listEntries(WORDS.zh).toSorted()).toEqual(entries);
});

test("nothing is left without words", () => {
  for (const words of Object.values(WORDS)) {
    expect(JSON.stringify(words, (_, value: unknown) => (value === "" ? "MISSING" : value))).not.toContain(
      "MISSING",
    );
  }
});
