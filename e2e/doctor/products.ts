/** Each product from Debian in front of one origin: as it should be, with lines by which a case makes it wrong. */
import type { Product } from "./proxy-process.js";

// As root, workers would be another user and could not use the directory.
const isRoot = process.getuid?.() === 0;

const NGINX_RIGHT = ["proxy_request_buffering off;", "client_max_body_size 0;", "proxy_read_timeout 1h;"];

/** `without`: beginnings of lines that are left out; `location`: instead of the whole location. */
export function nginx(
  origin: number,
  {
    lines = [],
    without = [],
    http = "",
    location,
  }: {
    readonly lines?: readonly string[];
    readonly without?: readonly string[];
    readonly http?: string;
    readonly location?: string;
  } = {},
): Product {
  const kept = NGINX_RIGHT.filter((line) => !without.some((beginning) => line.startsWith(beginning)));
  return {
    config: ({ port, directory }) => `${isRoot ? "user root;" : ""}
daemon off;
pid ${directory}/pid;
error_log ${directory}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${directory}/scratch/body;
  proxy_temp_path ${directory}/scratch/proxy;
  fastcgi_temp_path ${directory}/scratch/fastcgi;
  uwsgi_temp_path ${directory}/scratch/uwsgi;
  scgi_temp_path ${directory}/scratch/scgi;
  ${http}
  server {
    listen 127.0.0.1:${port};
    root ${directory};
    location / {
      ${
        location ??
        [
          `proxy_pass http://127.0.0.1:${origin};`,
          "proxy_http_version 1.1;",
          'proxy_set_header Connection "";',
          ...kept,
          ...lines,
        ].join("\n      ")
      }
    }
  }
}
`,
    command: (file, { directory }) => ["nginx", "-c", file, "-p", directory],
  };
}

export function haproxy(
  origin: number,
  {
    lines = [],
    timeout = "1h",
  }: {
    readonly lines?: readonly string[];
    readonly timeout?: string;
  } = {},
): Product {
  return {
    config: ({ port }) => `global
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client ${timeout}
  timeout server ${timeout}
  ${lines.join("\n  ")}
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server origin 127.0.0.1:${origin}
`,
    command: (file) => ["haproxy", "-db", "-f", file],
  };
}

function loadModule(name: string): string {
  return `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`;
}

export function apache(origin: number, lines: readonly string[] = []): Product {
  return {
    config: ({ port, directory }) => `ServerRoot ${directory}
ServerName localhost
Listen 127.0.0.1:${port}
PidFile ${directory}/pid
ErrorLog ${directory}/error.log
DefaultRuntimeDir ${directory}/scratch
${["mpm_event", "authz_core", "proxy", "proxy_http", "deflate", "filter"].map(loadModule).join("\n")}
ProxyPass / http://127.0.0.1:${origin}/ timeout=3600
${lines.join("\n")}
`,
    command: (file) => ["apache2", "-f", file, "-DFOREGROUND"],
  };
}

export function lighttpd(origin: number, lines: readonly string[]): Product {
  return {
    config: ({ port, directory }) => `server.document-root = "${directory}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${directory}/error.log"
server.upload-dirs = ( "${directory}/scratch" )
server.modules = ( "mod_proxy" )
proxy.server = ( "" => (( "host" => "127.0.0.1", "port" => ${origin} )) )
${lines.join("\n")}
`,
    command: (file) => ["lighttpd", "-D", "-f", file],
  };
}

export function varnish(origin: number, vcl: string): Product {
  return {
    config: () => `vcl 4.1;
backend origin { .host = "127.0.0.1"; .port = "${origin}"; .between_bytes_timeout = 1h; }
${vcl}
`,
    command: (file, { port, directory }) => [
      "varnishd",
      "-F",
      "-f",
      file,
      "-n",
      `${directory}/scratch`,
      "-a",
      `127.0.0.1:${port}`,
      "-s",
      "malloc,16m",
      // Its own sandbox wants users that only the package's service sets up.
      "-j",
      "none",
    ],
  };
}
