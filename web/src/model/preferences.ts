import { signal, type Signal } from "@preact/signals";
import type { PageStorage } from "./page-storage.js";

export type Theme = "auto" | "light" | "dark";
export type Language = "en" | "zh";

const THEMES: readonly Theme[] = ["auto", "light", "dark"];
const LANGUAGES: readonly Language[] = ["en", "zh"];

/** The first language of the person that the page speaks. */
export function pickLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const primary = tag.toLowerCase().split("-", 1)[0];
    const known = LANGUAGES.find((language) => language === primary);
    if (known !== undefined) return known;
  }
  return "en";
}

export class Preferences {
  readonly theme: Signal<Theme>;
  readonly language: Signal<Language>;
  readonly #storage: PageStorage;

  constructor(storage: PageStorage, wanted: readonly string[]) {
    this.#storage = storage;
    const theme = storage.read("theme");
    this.theme = signal(THEMES.find((known) => known === theme) ?? "auto");
    const language = storage.read("language");
    this.language = signal(LANGUAGES.find((known) => known === language) ?? pickLanguage(wanted));
  }

  /** auto → light → dark → auto. */
  turnTheme(): void {
    const next = THEMES[(THEMES.indexOf(this.theme.value) + 1) % THEMES.length] ?? "auto";
    this.theme.value = next;
    this.#storage.write("theme", next);
  }

  turnLanguage(): void {
    this.language.value = this.language.value === "en" ? "zh" : "en";
    this.#storage.write("language", this.language.value);
  }
}
