// Holdfast behind http-proxy-middleware 3 in an Express app, by its documentation. With http-proxy alone: createProxyServer() with the
// same options, and proxy.on() in place of `on`.
import { createProxyMiddleware } from "http-proxy-middleware";

export const holdfastProxy = createProxyMiddleware({
  // Not mounted under a path: Express would take it off. And before express.json(), which would eat the bodies.
  pathFilter: "/api/v1",
  target: "http://{{upstream}}",
  // Neither side has a deadline: streams are silent between heartbeats, uploads take as long as they take.
  timeout: 0,
  proxyTimeout: 0,
  on: {
    proxyRes: (fromHoldfast, request, toBrowser) => {
      // An origin that dies leaves the browser hanging without an error, and a closed tab leaves the origin sending, unless one is told of the other.
      fromHoldfast.once("close", () => fromHoldfast.complete || toBrowser.destroy());
      toBrowser.once("close", () => fromHoldfast.destroy());
    },
    error: (error, request, toBrowser) => {
      if (toBrowser.headersSent) return void toBrowser.destroy();
      // EventSource gives up for good on a 502; an empty stream makes it come back.
      const stream = request.method === "GET" && request.headers.accept?.includes("text/event-stream");
      if (stream)
        toBrowser.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
      else toBrowser.writeHead(502);
      toBrowser.end(stream ? "retry: 2000\n\n" : "");
    },
  },
});
