import { HoldfastClientError } from "./client-error.js";

/** Throws UNKNOWN_OPTION for a key outside `known`: a misspelt option that is silently ignored costs an afternoon. */
export function assertKnownOptions(
  options: object,
  known: { readonly [name: string]: true },
  where: string,
): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) {
      throw new HoldfastClientError(
        "UNKNOWN_OPTION",
        `${where} has no option "${name}"; it knows ${Object.keys(known).join(", ")}`,
      );
    }
  }
}

/** Throws INVALID_OPTION unless the value is a number of at least `least`. */
export function assertAtLeast(value: number, least: number, name: string): void {
  if (typeof value !== "number" || !(value >= least)) {
    throw new HoldfastClientError(
      "INVALID_OPTION",
      `${name} must be a number ≥ ${least}, got ${String(value)}`,
    );
  }
}

/** Resolves against the page where there is one; throws INVALID_OPTION for what can't be resolved. */
export function resolveUrl(url: string | URL): string {
  const base = typeof location === "undefined" ? undefined : location.href;
  try {
    return new URL(url, typeof document === "undefined" ? base : document.baseURI).href;
  } catch {
    throw new HoldfastClientError(
      "INVALID_OPTION",
      `"${String(url)}" is no URL here; outside a page give an absolute one (http://…)`,
    );
  }
}
