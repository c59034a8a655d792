import { HoldfastClientError } from "./client-error.js";

/** Throws INVALID_OPTION with that message. */
export function assertOption(holds: boolean, message: string): void {
  if (!holds) throw new HoldfastClientError("INVALID_OPTION", message);
}

/** Throws UNKNOWN_OPTION for a key outside `known`: a misspelt option that is silently ignored costs an afternoon. */
export function assertKnownOptions(options: object, known: object, where: string): void {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(known, name)) {
      throw new HoldfastClientError(
        "UNKNOWN_OPTION",
        `${where} has no option "${name}"; it knows ${Object.keys(known).join(", ")}`,
      );
    }
  }
}

/** The defaults, with what is given and not undefined in their place. `defaults` names every option; throws UNKNOWN_OPTION for another. */
export function mergeOptions<T extends object>(
  defaults: T,
  options: { readonly [K in keyof T]?: T[K] | undefined },
  where: string,
): T {
  assertKnownOptions(options, defaults, where);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...defaults, ...(Object.fromEntries(given) as Partial<T>) };
}

/** Throws INVALID_OPTION unless each of the named values is undefined or a number of at least `least`. */
export function assertAtLeast<K extends string>(
  options: { readonly [name in K]: number | undefined },
  least: number,
  ...names: readonly K[]
): void {
  for (const name of names) {
    const value: unknown = options[name];
    assertOption(
      value === undefined || (typeof value === "number" && value >= least),
      `${name} must be a number ≥ ${least}, got ${String(value)}`,
    );
  }
}

/** Resolves against the page where there is one; throws INVALID_OPTION for what can't be resolved. */
export function resolveUrl(url: string | URL): string {
  const { document: page, location: place } = globalThis as { document?: Document; location?: Location };
  try {
    return new URL(url, page?.baseURI ?? place?.href).href;
  } catch {
    throw new HoldfastClientError(
      "INVALID_OPTION",
      `"${String(url)}" is no URL here; outside a page give an absolute one (http://…)`,
    );
  }
}
