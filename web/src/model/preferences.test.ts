import { expect, test } from "vitest";
import { createMemoryStorage } from "./page-storage.js";
import { pickLanguage, Preferences } from "./preferences.js";

test("the page speaks the first wanted language that it knows", () => {
  expect(pickLanguage(["de-DE", "zh-Hant-TW", "en"])).toBe("zh");
  expect(pickLanguage(["fr", "en-GB"])).toBe("en");
  expect(pickLanguage([])).toBe("en");
});

test("the theme turns from auto to light to dark and round, and outlives the page", () => {
  const storage = createMemoryStorage();
  const { theme } = new Preferences(storage, []);
  expect(theme.value).toBe("auto");
  const preferences = new Preferences(storage, []);
  preferences.turnTheme();
  preferences.turnTheme();
  expect(new Preferences(storage, []).theme.value).toBe("dark");
  preferences.turnTheme();
  expect(preferences.theme.value).toBe("auto");
});

test("a language chosen by hand goes before the browser's", () => {
  const storage = createMemoryStorage();
  new Preferences(storage, ["en"]).turnLanguage();
  expect(new Preferences(storage, ["en"]).language.value).toBe("zh");
});
