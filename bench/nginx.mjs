/**
 * nginx as Debian packs it, in front of one server, as a process of our own: nothing outside of its directory is read or written.
 *
 * The configuration is what an operator needs and no more: HTTP/1.1 to the origin, request bodies passed on as they come, a read timeout above
 * the heartbeat. Responses are buffered by default; the origin's `X-Accel-Buffering: no` alone takes that back for streams.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { comesTrue } from "./api.mjs";

/** @param {string} directory @param {number} originPort @returns {Promise<{ url: string, stop: () => Promise<void> }>} */
export async function startNginx(directory, originPort) {
  mkdirSync(directory, { recursive: true });
  const port = await freePort();
  const config = join(directory, "nginx.conf");
  // As root, workers would be another user and could not use the directory.
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(
    config,
    `${user}
daemon off;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
worker_processes 1;
worker_rlimit_nofile 20000;
events { worker_connections 18000; }
http {
  access_log off;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    client_max_body_size 0;
    location / {
      proxy_pass http://127.0.0.1:${originPort};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_read_timeout 60s;
    }
  }
}
`,
  );
  const child = spawn("nginx", ["-c", config, "-p", directory], {
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` },
  });
  const kill = () => void child.kill("SIGKILL");
  process.once("exit", kill);
  const url = `http://127.0.0.1:${port}`;
  const up = await comesTrue(async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`);
    return await fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }, 10_000);
  if (!up) throw new Error("nginx did not answer within 10 s");
  return {
    url,
    stop: async () => {
      process.off("exit", kill);
      const exited = child.exitCode === null ? once(child, "exit") : undefined;
      child.kill("SIGTERM");
      await exited;
    },
  };
}

/** @returns {Promise<number>} */
async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
