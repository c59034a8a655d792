import type { FastifyInstance } from "fastify";
import type { Metrics } from "./metrics.js";
import { toLoggedPath } from "./sse-middleware.js";

// Machines ask these every few seconds; at `info` they would bury the rest.
const QUIET: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/metrics"]);

/** One line and one measurement for every request that is no stream; streams have lines of their own. */
export function addRequestLog(app: FastifyInstance, basePath: string, metrics: Metrics): void {
  app.addHook("onResponse", async (request, reply) => {
    const { config, url } = request.routeOptions;
    // A stream that was refused is an ordinary answer; one that was opened had its headers set by the middleware.
    if (config.stream === true && reply.sent && reply.raw.statusCode === 200) return;
    const path = toLoggedPath(request.raw);
    const durationMs = Math.round(reply.elapsedTime);
    const status = reply.raw.statusCode;
    metrics.answered({ method: request.method, route: url ?? "none", status, durationMs });
    const quiet =
      QUIET.has(path.slice(basePath.length)) || request.method === "OPTIONS" || request.method === "HEAD";
    const line = { method: request.method, path, status, durationMs };
    if (quiet) request.log.debug(line, "request");
    else request.log.info(line, "request");
  });
}
