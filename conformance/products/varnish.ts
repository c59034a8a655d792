import { existsSync, writeFileSync } from "node:fs";
import type { Product } from "./product.js";

export const VARNISH: Product = {
  name: "varnish",
  version: { command: "varnishd", args: ["-V"] },
  ours: { varnish: ["1.1", "2"] },
  files: { "hitch.conf": { print: "hitch", inner: true } },
  standard: ["1.1", "2"],
  toStandard: ({ upstreamPort }) => `vcl 4.1;
backend default {
  .host = "127.0.0.1";
  .port = "${upstreamPort}";
}
`,
  prepare: ({ directory, port, innerPort, certificate, key }) => {
    const hitch = `${directory}/hitch.conf`;
    if (!existsSync(hitch))
      writeFileSync(
        hitch,
        `frontend = "[*]:${port}"
backend = "[127.0.0.1]:${innerPort}"
alpn-protos = "h2, http/1.1"
write-proxy-v2 = on
pem-file = { cert = "${certificate}"
private-key = "${key}" }
`,
      );
    const varnishd = `varnishd -F -j none -n ${directory}/varnish -f ${directory}/site.conf -a 127.0.0.1:${innerPort},PROXY -p feature=+http2 -s malloc,64m`;
    // Hitch second: without Varnish behind it, it breaks off handshakes, and Firefox' EventSource takes that for the end.
    const running = `varnishadm -n ${directory}/varnish status 2>/dev/null | grep -q running`;
    return {
      command: "sh",
      innerPort,
      args: [
        "-c",
        `${varnishd} & until ${running}; do sleep 0.1; done; hitch --user=nobody --config=${hitch} & wait`,
      ],
    };
  },
  // A name can be loaded once.
  reload: ({ directory }) => {
    const admin = `varnishadm -n ${directory}/varnish`;
    const name = `again${Date.now()}`;
    return {
      command: "sh",
      args: ["-c", `${admin} vcl.load ${name} ${directory}/site.conf && ${admin} vcl.use ${name}`],
    };
  },
};
