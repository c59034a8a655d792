import type { Product } from "./product.js";

export const HAPROXY: Product = {
  name: "haproxy",
  version: { command: "haproxy", args: ["-v"] },
  ours: { haproxy: ["1.1", "2"] },
  files: {},
  standard: ["1.1", "2"],
  // The timeouts are those of Debian's haproxy.cfg.
  toStandard: ({ port, upstreamPort, certificate }) => `defaults
  mode http
  timeout connect 5000
  timeout client 50000
  timeout server 50000
frontend site
  bind :${port} ssl crt ${certificate} alpn h2,http/1.1
  default_backend origin
backend origin
  server origin 127.0.0.1:${upstreamPort}
`,
  prepare: ({ directory }) => ({ command: "haproxy", args: ["-W", "-f", `${directory}/site.conf`] }),
  reload: "SIGUSR2",
};
