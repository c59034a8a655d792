import { writeFileSync } from "node:fs";
import type { Product } from "./product.js";

const MODULES = [
  "mpm_event",
  "authz_core",
  "alias",
  "asis",
  "env",
  "headers",
  "http2",
  "proxy",
  "proxy_http",
  "reqtimeout",
  "socache_shmcb",
  "ssl",
];

export const APACHE: Product = {
  name: "apache",
  version: { command: "apache2", args: ["-v"] },
  ours: { apache: ["1.1", "2"], "apache-http1": ["1.1"] },
  files: { "holdfast-away.asis": { print: "apache-away" } },
  standard: ["1.1", "2"],
  toStandard: ({ port, upstreamPort, certificate, key }) => `Listen ${port}
<VirtualHost *:${port}>
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile ${certificate}
  SSLCertificateKeyFile ${key}
  ProxyPass / http://127.0.0.1:${upstreamPort}/
</VirtualHost>
`,
  prepare: ({ directory }) => {
    const modules = MODULES.map(
      (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
    );
    // Timeout and RequestReadTimeout as Debian has them.
    writeFileSync(
      `${directory}/main.conf`,
      `ServerRoot ${directory}
ServerName localhost
PidFile ${directory}/apache.pid
DefaultRuntimeDir ${directory}
Mutex pthread
ErrorLog ${directory}/error.log
LogLevel warn
${modules.join("\n")}
RequestReadTimeout header=20-40,minrate=500
RequestReadTimeout body=10,minrate=500
StartServers 1
Timeout 300
MaxRequestWorkers 400
Include ${directory}/site.conf
`,
    );
    return { command: "apache2", args: ["-d", directory, "-f", `${directory}/main.conf`, "-DFOREGROUND"] };
  },
  reload: "SIGUSR1",
};
