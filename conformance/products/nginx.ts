import { writeFileSync } from "node:fs";
import type { Product } from "./product.js";

export const NGINX: Product = {
  name: "nginx",
  version: { command: "nginx", args: ["-v"] },
  ours: { nginx: ["1.1", "2"], "nginx-http1": ["1.1"] },
  files: {},
  standard: ["1.1", "2"],
  toStandard: ({ port, upstreamPort, certificate, key }) => `server {
  listen ${port} ssl http2;
  ssl_certificate ${certificate};
  ssl_certificate_key ${key};
  location / {
    proxy_pass http://127.0.0.1:${upstreamPort};
  }
}
`,
  prepare: ({ directory }) => {
    // As root, workers would be another user and could not use the directory.
    const user = process.getuid?.() === 0 ? "user root;" : "";
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
      .map((name) => `  ${name}_temp_path ${directory}/${name};`)
      .join("\n");
    writeFileSync(
      `${directory}/main.conf`,
      `${user}
daemon off;
pid ${directory}/nginx.pid;
error_log stderr warn;
worker_processes 1;
events { worker_connections 1024; }
http {
  access_log off;
${paths}
  include ${directory}/site.conf;
}
`,
    );
    return { command: "nginx", args: ["-c", `${directory}/main.conf`, "-p", directory, "-e", "stderr"] };
  },
  reload: "SIGHUP",
};
