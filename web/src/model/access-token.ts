import type { PageStorage } from "./page-storage.js";

/** `#token=…` → the token and the fragment without it. */
export function takeToken(fragment: string): { readonly token: string | null; readonly rest: string } {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  const token = fields.get("token");
  if (token === null || token === "") return { token: null, rest: fragment };
  fields.delete("token");
  const rest = fields.toString();
  return { token, rest: rest === "" ? "" : `#${rest}` };
}

/** For `headers` of the client. */
export function toAuthorization(token: string | null): { readonly [name: string]: string } {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}

/**
 * Whose streams they are: what the token says, without what makes it valid, since names of locks and channels are no secret. Null when it
 * does not say: then with no other tab.
 */
export function toScope(token: string | null): string | null {
  if (token === null) return "";
  const [, claims] = token.split(".");
  return claims ?? null;
}

/** A link can't carry a header, so a download names the token in its query. */
export function toTokenLink(url: string, token: string | null): string {
  if (token === null) return url;
  return `${url}${url.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}`;
}

/** The token of this tab: from the fragment, which then loses it, or from before a reload. */
export function readToken(
  fragment: string,
  session: PageStorage,
  setFragment: (rest: string) => void,
): string | null {
  const { token, rest } = takeToken(fragment);
  if (token === null) return session.read("token");
  session.write("token", token);
  // In the address bar it would end in bookmarks, history and screenshots.
  setFragment(rest);
  return token;
}
