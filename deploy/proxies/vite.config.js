// Holdfast behind Vite's dev server, by its documentation: this part of vite.config.js. For development; production has a proxy of its own.
import { defineConfig } from "vite";

export default defineConfig({
  server: {
    proxy: {
      "/api/v1": {
        target: "http://{{upstream}}",
        // Neither side has a deadline: streams are silent between heartbeats, uploads take as long as they take.
        timeout: 0,
        proxyTimeout: 0,
        configure: (proxy) => {
          proxy.on("proxyRes", (fromHoldfast, request, toBrowser) => {
            // An origin that dies leaves the browser hanging without an error, and a closed tab leaves the origin sending, unless one is told of the other.
            fromHoldfast.once("close", () => fromHoldfast.complete || toBrowser.destroy());
            toBrowser.once("close", () => fromHoldfast.destroy());
          });
          // EventSource gives up for good on a 500; an empty stream makes it come back.
          proxy.on("error", (error, request, toBrowser) => {
            if (request.method !== "GET" || !request.headers.accept?.includes("text/event-stream")) return;
            if (toBrowser.headersSent) return;
            toBrowser.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
            toBrowser.end("retry: 2000\n\n");
          });
        },
      },
    },
  },
});
