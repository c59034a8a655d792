import type { ConnectionState } from "../model/connection-view.js";
import type { FailureKind } from "../model/failure.js";
import type { Notice } from "../model/board.js";
import type { Language, Theme } from "../model/preferences.js";
import type { RowAction, RowStatus } from "../model/row-view.js";
import { en } from "./en.js";
import { zh } from "./zh.js";

/** Everything the page says, in one language. */
export interface Words {
  /** For `lang` and Intl. */
  readonly locale: string;
  readonly tagline: string;
  readonly emptyTitle: string;
  readonly emptyText: string;
  readonly chooseFiles: string;
  readonly dropMore: string;
  readonly dropNow: string;
  readonly unnamed: string;
  readonly overall: string;
  readonly files: string;
  readonly storedWord: string;
  readonly legendStored: string;
  readonly legendSent: string;
  readonly clearEnded: string;
  readonly dismiss: string;
  readonly separator: string;
  readonly filesDone: (completed: number, files: number) => string;
  readonly filesFailed: (count: number) => string;
  readonly storedOf: (stored: string, total: string) => string;
  readonly stored: (stored: string) => string;
  readonly left: (duration: string) => string;
  readonly attempt: (count: number) => string;
  readonly stage: (name: string) => string;
  readonly retryIn: (seconds: string) => string;
  readonly status: { readonly [K in RowStatus]: string };
  readonly needsFile: string;
  readonly action: { readonly [K in RowAction]: string };
  readonly actionOn: (action: string, name: string) => string;
  readonly failure: { readonly [K in Exclude<FailureKind, "other" | "final">]: string };
  readonly advice: { readonly [K in FailureKind]: string };
  readonly notice: { readonly [K in Notice]: string };
  readonly connection: { readonly [K in ConnectionState]: string };
  readonly connectionText: { readonly [K in ConnectionState]: string };
  readonly reconnectingIn: (seconds: string) => string;
  readonly connectionLabel: string;
  readonly transport: string;
  readonly protocol: string;
  readonly lastHeartbeat: string;
  readonly ago: (duration: string) => string;
  readonly notYet: string;
  readonly failedAttempts: string;
  readonly terminal: string;
  readonly copy: string;
  readonly copied: string;
  readonly theme: { readonly [K in Theme]: string };
  readonly themeLabel: (theme: string) => string;
  /** Of the other language, in that language. */
  readonly otherLanguage: string;
  readonly switchLanguage: string;
  readonly saidAdded: (count: number) => string;
  readonly saidEnding: (
    kind: "completed" | "failed" | "cancelled" | "paused",
    name: string,
    others: number,
  ) => string;
  readonly saidLost: string;
  readonly saidBack: string;
  readonly titleMoving: (percent: string) => string;
  readonly titleDone: string;
  /** All has ended, but not all of it well. */
  readonly titleFailed: (count: number) => string;
}

export const WORDS: { readonly [K in Language]: Words } = { en, zh };
