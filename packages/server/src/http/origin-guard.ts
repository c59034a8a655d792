import type { FastifyInstance } from "fastify";
import { HoldfastError } from "../errors.js";

const UNSAFE: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH", "DELETE"]);

/**
 * Refuses changes that a page of another site sends through a visitor's browser: with a cookie they would carry the visitor's
 * rights, and on a loopback server without tokens everybody's.
 *
 * `Sec-Fetch-Site` is the browser's own word and survives proxies that rewrite `Host`, where comparing `Origin` with `Host` does not.
 * What has no such header (curl, old browsers, plain http beyond localhost) passes: there tokens decide.
 */
export function addOriginGuard(app: FastifyInstance, corsOrigins: readonly string[]): void {
  app.addHook("onRequest", async (request) => {
    if (!UNSAFE.has(request.method)) return;
    const site = request.headers["sec-fetch-site"];
    if (site !== "cross-site" && site !== "same-site") return;
    const { origin } = request.headers;
    if (origin !== undefined && (corsOrigins.includes(origin) || corsOrigins.includes("*"))) return;
    throw new HoldfastError(
      "ORIGIN_REFUSED",
      `a page of ${origin ?? "another site"} may not change anything here; list its origin in cors-origin if it should`,
      { field: "Origin" },
    );
  });
}
