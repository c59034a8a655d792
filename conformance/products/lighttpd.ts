import { writeFileSync } from "node:fs";
import type { Product } from "./product.js";

export const LIGHTTPD: Product = {
  name: "lighttpd",
  version: { command: "lighttpd", args: ["-v"] },
  ours: { lighttpd: ["1.1", "2"] },
  files: { "holdfast-away.retry": { print: "lighttpd-away" } },
  standard: ["1.1", "2"],
  toStandard: ({ port, upstreamPort, certificate, key }) => `server.modules += ( "mod_proxy", "mod_openssl" )
$SERVER["socket"] == ":${port}" {
  ssl.engine = "enable"
  ssl.pemfile = "${certificate}"
  ssl.privkey = "${key}"
  proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => ${upstreamPort} ) ) )
}
`,
  prepare: ({ directory, innerPort }) => {
    writeFileSync(
      `${directory}/main.conf`,
      `server.document-root = "${directory}"
server.bind = "127.0.0.1"
server.port = ${innerPort}
server.upload-dirs = ( "${directory}" )
server.errorlog = "${directory}/error.log"
include "${directory}/site.conf"
`,
    );
    return { command: "lighttpd", args: ["-D", "-f", `${directory}/main.conf`] };
  },
  reload: "SIGUSR1",
};
