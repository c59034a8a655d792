/** Sent with every request; a function is asked anew for each attempt, so a token can be fresh. */
export type RequestHeaders =
  | { readonly [name: string]: string }
  | (() => { readonly [name: string]: string } | Promise<{ readonly [name: string]: string }>);

export async function readHeaders(
  headers: RequestHeaders | undefined,
): Promise<{ readonly [name: string]: string }> {
  return typeof headers === "function" ? headers() : (headers ?? {});
}
