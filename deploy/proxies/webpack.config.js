// Holdfast behind webpack-dev-server 5, by its documentation: this part of webpack.config.js.
export default {
  devServer: {
    // Its gzip is Express' compression, on by itself. It leaves alone what says no-transform, as Holdfast's streams do; other servers' do not.
    compress: false,
    proxy: [
      {
        context: ["/api/v1"],
        target: "http://{{upstream}}",
        // Neither side has a deadline: streams are silent between heartbeats, uploads take as long as they take.
        timeout: 0,
        proxyTimeout: 0,
        onProxyRes: (fromHoldfast, request, toBrowser) => {
          // An origin that dies leaves the browser hanging without an error, and a closed tab leaves the origin sending, unless one is told of the other.
          fromHoldfast.once("close", () => fromHoldfast.complete || toBrowser.destroy());
          toBrowser.once("close", () => fromHoldfast.destroy());
        },
        onError: (error, request, toBrowser) => {
          if (toBrowser.headersSent) return void toBrowser.destroy();
          // EventSource gives up for good on a 502; an empty stream makes it come back.
          const stream = request.method === "GET" && request.headers.accept?.includes("text/event-stream");
          if (stream)
            toBrowser.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
          else toBrowser.writeHead(502);
          toBrowser.end(stream ? "retry: 2000\n\n" : "");
        },
      },
    ],
  },
};
