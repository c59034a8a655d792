const NAMES: { readonly [alpn: string]: string } = { "http/1.1": "HTTP/1.1", h2: "HTTP/2", h3: "HTTP/3" };

/** From `nextHopProtocol`; null where the browser keeps it to itself. It speaks of the page's own load, over the same host. */
export function toProtocolName(alpn: string | undefined): string | null {
  return (alpn === undefined ? undefined : NAMES[alpn]) ?? null;
}
