/**
 * Whose clock it was: after how many seconds of silence each product cuts a stream when nobody has told it otherwise, measured
 * through the real ones where Debian has them and from the vendors' manuals elsewhere.
 */
interface IdleProduct {
  readonly seconds: number;
  readonly products: string;
  readonly fix: readonly string[];
}

const IDLE_PRODUCTS: readonly IdleProduct[] = [
  {
    seconds: 30,
    products: "Google Cloud load balancers",
    fix: ["Google Cloud: backend service, --timeout=86400"],
  },
  { seconds: 50, products: "HAProxy", fix: ["HAProxy: timeout server 1h", "HAProxy: timeout client 1h"] },
  {
    seconds: 55,
    products: "Heroku's router",
    fix: ["Heroku: can't be raised; send a heartbeat every 10 to 30 s"],
  },
  {
    seconds: 60,
    products: "nginx, AWS ALB, Varnish, nghttpx",
    fix: [
      "nginx: proxy_read_timeout 1h;",
      "AWS ALB: idle_timeout.timeout_seconds = 4000",
      "Varnish: set bereq.between_bytes_timeout = 1h;",
    ],
  },
  {
    seconds: 100,
    products: "Cloudflare",
    fix: ["Cloudflare: can't be raised on most plans; send a heartbeat"],
  },
  {
    seconds: 300,
    products: "Apache, Envoy, Node's requestTimeout",
    fix: ["Apache: ProxyPass … timeout=3600", "Envoy: route, timeout: 0s and idle_timeout: 3600s"],
  },
  { seconds: 361, products: "lighttpd", fix: ["lighttpd: server.max-write-idle = 3600"] },
];

/** The product whose limit lies within 2 s, or 2 %, of this silence. */
export function fitIdleProduct(silentMs: number): IdleProduct | undefined {
  return IDLE_PRODUCTS.find(
    ({ seconds }) => Math.abs(silentMs - seconds * 1_000) <= Math.max(2_000, seconds * 20),
  );
}
