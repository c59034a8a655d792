import type { JSX } from "preact";
import type { Theme } from "../model/preferences.js";
import { useSurroundings } from "./surroundings.js";

export function ThemeToggle(): JSX.Element {
  const { preferences, words } = useSurroundings();
  const theme = preferences.theme.value;
  const label = words.value.themeLabel(words.value.theme[theme]);
  return (
    <button
      type="button"
      class="icon"
      data-testid="theme-toggle"
      data-theme-choice={theme}
      aria-label={label}
      title={label}
      onClick={() => preferences.turnTheme()}
    >
      <svg viewBox="0 0 24 24" aria-hidden="true">
        {toPicture(theme)}
      </svg>
    </button>
  );
}

function toPicture(theme: Theme): JSX.Element {
  switch (theme) {
    case "auto":
      return (
        <>
          <circle cx="12" cy="12" r="7" />
          <path d="M12 5a7 7 0 0 1 0 14z" fill="currentColor" />
        </>
      );
    case "light":
      return (
        <>
          <circle cx="12" cy="12" r="4" />
          <path d="M12 3v2M12 19v2M3 12h2M19 12h2M5.600 5.600 7 7M17 17l1.400 1.400M5.600 18.400 7 17M17 7l1.400-1.400" />
        </>
      );
    case "dark":
      return <path d="M19 14.500A7.500 7.500 0 0 1 9.500 5a7.500 7.500 0 1 0 9.500 9.500z" />;
  }
}

export function LanguageToggle(): JSX.Element {
  const { preferences, words } = useSurroundings();
  const other = preferences.language.value === "en" ? "zh-CN" : "en";
  return (
    <button
      type="button"
      class="icon"
      data-testid="language-toggle"
      lang={other}
      aria-label={words.value.switchLanguage}
      title={words.value.switchLanguage}
      onClick={() => preferences.turnLanguage()}
    >
      {words.value.otherLanguage}
    </button>
  );
}
