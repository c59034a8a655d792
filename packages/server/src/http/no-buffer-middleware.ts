import type { ConnectMiddleware } from "./sse-middleware.js";

/**
 * Keeps proxies and compressors from holding bytes back.
 *
 * `no-transform` is what compressors in front and Express' `compression` heed; `X-Accel-Buffering: no` is nginx's word; without
 * `Accept-Encoding` a compressor mounted later finds nothing to do. One that compresses all the same has a `flush()`, which is then
 * called after every write; Node's own response has none and needs none.
 */
export function noBufferMiddleware(): ConnectMiddleware {
  return (request, response, next) => {
    delete request.headers["accept-encoding"];
    const cacheControl = String(response.getHeader("Cache-Control") ?? "");
    if (!/\bno-transform\b/i.test(cacheControl)) {
      response.setHeader(
        "Cache-Control",
        cacheControl === "" ? "no-cache, no-transform" : `${cacheControl}, no-transform`,
      );
    }
    response.setHeader("X-Accel-Buffering", "no");
    const flushable = response as typeof response & { flush?: unknown };
    if (typeof flushable.flush === "function") {
      const write = response.write.bind(response) as (...written: readonly unknown[]) => boolean;
      response.write = (...written: readonly unknown[]): boolean => {
        const taken = write(...written);
        if (typeof flushable.flush === "function") flushable.flush();
        return taken;
      };
    }
    next();
  };
}
