import { chmodSync, writeFileSync } from "node:fs";
import type { Product } from "./product.js";

export const SQUID: Product = {
  name: "squid",
  version: { command: "squid", args: ["-v"] },
  ours: { squid: ["1.1"] },
  files: {},
  cannot: { "origin away": "its own error is always a page of HTML with its own status" },
  standard: ["1.1"],
  toStandard: ({
    port,
    upstreamPort,
    certificate,
    key,
  }) => `https_port ${port} accel defaultsite=localhost no-vhost tls-cert=${certificate} tls-key=${key}
cache_peer 127.0.0.1 parent ${upstreamPort} 0 no-query originserver
http_access allow all
`,
  prepare: ({ directory }) => {
    // Squid refuses to stay root, and becomes a user who may not write into a directory of root.
    chmodSync(directory, 0o777);
    writeFileSync(
      `${directory}/main.conf`,
      `pid_filename ${directory}/squid.pid
cache_effective_user proxy
access_log none
cache_log ${directory}/cache.log
coredump_dir ${directory}
pinger_enable off
workers 1
shutdown_lifetime 1 second
include ${directory}/site.conf
`,
    );
    return {
      command: "squid",
      args: ["-N", "-f", `${directory}/main.conf`, "-n", `hf${process.pid}`],
    };
  },
  reload: "SIGHUP",
};
