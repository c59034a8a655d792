import { writeFileSync } from "node:fs";
import type { Product } from "./product.js";

export const CADDY: Product = {
  name: "caddy",
  version: { command: "caddy", args: ["version"] },
  ours: { caddy: ["1.1", "2"] },
  files: {},
  standard: ["1.1", "2"],
  toStandard: ({ port, upstreamPort, certificate, key }) => `https://localhost:${port} {
	tls ${certificate} ${key}
	reverse_proxy 127.0.0.1:${upstreamPort}
}
`,
  prepare: ({ directory }) => {
    writeFileSync(
      `${directory}/main.conf`,
      `{
	admin unix/${directory}/admin.sock
	auto_https disable_redirects
	storage file_system ${directory}
}
import ${directory}/site.conf
`,
    );
    return {
      command: "caddy",
      args: ["run", "--config", `${directory}/main.conf`, "--adapter", "caddyfile"],
    };
  },
  reload: ({ directory }) => ({
    command: "caddy",
    args: [
      "reload",
      "--force",
      "--config",
      `${directory}/main.conf`,
      "--adapter",
      "caddyfile",
      "--address",
      `unix/${directory}/admin.sock`,
    ],
  }),
};
