/**
 * The doctor through real proxies: right ones have no finding, and each that is broken in one way has just the finding that names it.
 * The origin is always the same built server, with its probe routes.
 */
import { rmSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runCommand } from "../harness/command-run.js";
import { ServerProcess } from "../harness/server-process.js";
import { apache, haproxy, lighttpd, nginx, varnish } from "./products.js";
import { startProxy, type Product } from "./proxy-process.js";

const CLI = fileURLToPath(new URL("../../packages/cli/dist/bin.js", import.meta.url));
const WATCH = "6s";
// Nobody here has TLS, which the doctor always notes.
const WITHOUT_TLS = "six-connections";

const GZIP = ["gzip on;", "gzip_proxied any;", "gzip_types text/event-stream;"];
/** Every answer is kept for a minute, whatever the origin says. */
const KEEPS = `sub vcl_backend_response {
  set beresp.uncacheable = false;
  set beresp.ttl = 60s;
  set beresp.do_stream = true;
  return (deliver);
}
sub vcl_recv {
  if (req.method == "POST") { return (pass); }
  return (hash);
}`;

interface Found {
  readonly ids: readonly string[];
  readonly code: number | null;
}

let server: ServerProcess;
let origin: number;
const dataDir = mkdtempSync(join(tmpdir(), "holdfast-doctor-"));

beforeAll(async () => {
  const started = await ServerProcess.start({ dataDir, flags: ["--probe", "--heartbeat=2s"] });
  server = started.server;
  origin = Number(new URL(started.url).port);
  const created = await fetch(`${started.url}/api/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: "watched" }),
  });
  expect(created.status).toBe(201);
});

afterAll(async () => {
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

async function examine(port: number, watch = WATCH): Promise<Found> {
  const url = `http://127.0.0.1:${port}/api/v1/tasks/watched/stream`;
  const { code, stdout, stderr } = await runCommand(process.execPath, [
    CLI,
    "doctor",
    url,
    `--watch=${watch}`,
    "--json",
  ]);
  expect(stderr).toContain("watching the stream");
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly { readonly id: string }[] };
  return {
    code,
    ids: findings
      .map(({ id }) => id)
      .filter((id) => id !== WITHOUT_TLS)
      .toSorted(),
  };
}

async function examineThrough(product: Product): Promise<Found> {
  const proxy = await startProxy(product);
  try {
    return await examine(proxy.port);
  } finally {
    await proxy.stop();
  }
}

describe.concurrent("nothing is found", () => {
  test("on the way without a proxy", async () => {
    expect(await examine(origin)).toEqual({ code: 0, ids: [] });
  });
  test("through nginx with the lines that it needs", async () => {
    expect(await examineThrough(nginx(origin))).toEqual({ code: 0, ids: [] });
  });
  test("through Apache", async () => {
    expect(await examineThrough(apache(origin))).toEqual({ code: 0, ids: [] });
  });
  test("through lighttpd that streams both ways", async () => {
    const right = lighttpd(origin, ["server.stream-response-body = 2", "server.stream-request-body = 2"]);
    expect(await examineThrough(right)).toEqual({ code: 0, ids: [] });
  });
  test("through Varnish as it comes", async () => {
    expect(await examineThrough(varnish(origin, ""))).toEqual({ code: 0, ids: [] });
  });
  test("through HAProxy without Nagle", async () => {
    expect(await examineThrough(haproxy(origin, { lines: ["option http-no-delay"] }))).toEqual({
      code: 0,
      ids: [],
    });
  });
});

describe.concurrent("a proxy that is wrong in one way", () => {
  const CASES: readonly (readonly [string, () => Product, readonly string[]])[] = [
    [
      "nginx as it comes, when it ignores what the origin says of buffering",
      () =>
        nginx(origin, {
          location: `proxy_pass http://127.0.0.1:${origin}; proxy_ignore_headers X-Accel-Buffering;`,
        }),
      ["headers-held", "held-back", "no-response", "request-buffered"],
    ],
    ["nginx that compresses streams", () => nginx(origin, { lines: GZIP }), ["compressed"]],
    [
      "nginx that compresses and buffers streams",
      () => nginx(origin, { lines: [...GZIP, "proxy_ignore_headers X-Accel-Buffering;"] }),
      ["compression-holds-back", "headers-held"],
    ],
    [
      "nginx that takes bodies whole",
      () => nginx(origin, { without: ["proxy_request_buffering"] }),
      ["request-buffered"],
    ],
    [
      "nginx with a small bound of bodies",
      () => nginx(origin, { without: ["client_max_body_size"], lines: ["client_max_body_size 1k;"] }),
      ["upload-limit"],
    ],
    [
      "nginx that cuts what is silent for a second",
      () => nginx(origin, { without: ["proxy_read_timeout"], lines: ["proxy_read_timeout 1s;"] }),
      ["unclean-end"],
    ],
    ["nginx whose origin is down", () => nginx(1), ["refused"]],
    [
      "nginx that answers with the app's page",
      () => nginx(origin, { location: "default_type text/html; return 200 '<html>';" }),
      ["not-a-stream"],
    ],
    ["HAProxy as it comes", () => haproxy(origin), ["nagle"]],
    [
      "HAProxy that cuts what is silent for a second",
      () => haproxy(origin, { lines: ["option http-no-delay"], timeout: "1s" }),
      ["unclean-end"],
    ],
    [
      "lighttpd as it comes",
      () => lighttpd(origin, []),
      ["gone-unnoticed", "headers-held", "held-back", "no-response", "request-buffered"],
    ],
    [
      "Varnish that keeps what must not be kept",
      () => varnish(origin, KEEPS),
      ["gone-unnoticed", "shared-stream"],
    ],
  ];
  test.each(CASES)("%s", async (_, product, ids) => {
    expect((await examineThrough(product())).ids).toEqual(ids);
  });
});
