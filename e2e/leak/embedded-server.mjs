/**
 * The embedded server in a process that tells what it holds: run with --expose-gc and an IPC channel.
 *
 * Every message is answered with a census taken after garbage collection. The engine is no part of the server's public face, so
 * it is taken down when it opens its first stream.
 */
import { StreamEngine } from "@holdfast/stream";
import { createHoldfast } from "@holdfast/server";

/** @type {StreamEngine | undefined} */
let engine;
// oxlint-disable-next-line typescript/unbound-method -- called with its own `this` below
const { open } = StreamEngine.prototype;
StreamEngine.prototype.open = function (stream) {
  engine = this;
  return open.call(this, stream);
};

const holdfast = await createHoldfast({
  port: 0,
  dataDir: process.argv[2],
  heartbeatMs: 1_000,
  progressIntervalMs: 50,
});
const { url } = await holdfast.listen();

process.on("message", () => {
  globalThis.gc?.();
  // A second time, for what the finalizers of the first let go.
  setImmediate(() => {
    globalThis.gc?.();
    const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
    const resources = process.getActiveResourcesInfo();
    const count = (/** @type {string} */ name) => resources.filter((one) => one === name).length;
    process.send?.({
      sessions: engine?.stats.sessions ?? 0,
      channels: engine?.stats.channels ?? 0,
      engineTimers: engine?.stats.timers ?? 0,
      sockets: count("TCPSocketWrap"),
      timeouts: count("Timeout"),
      heapBytes: heapUsed,
      externalBytes: external + arrayBuffers,
      rssBytes: rss,
    });
  });
});
process.once("SIGTERM", () => void holdfast.close().then(() => process.exit(0)));
process.once("disconnect", () => process.exit(1));
process.send?.({ url });
