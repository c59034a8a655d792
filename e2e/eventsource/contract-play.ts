import type { Play } from "../harness/scripted-server.js";
import type { ContractCase } from "./contract-cases.js";

/** Each piece in a segment of its own, or as near to it as TCP lets one. */
export function playCase({ connections, silent }: ContractCase): Play {
  return async (request, response, index) => {
    const pieces = connections[Math.min(index, connections.length - 1)] ?? [];
    request.socket.setNoDelay(true);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    for (const piece of pieces) {
      await new Promise((resolve) => {
        response.write(piece, resolve);
      });
      await new Promise((resolve) => {
        setTimeout(resolve, 2);
      });
    }
    // Without the last chunk: broken, not ended.
    if (index < connections.length - 1 && silent !== true) request.socket.end();
  };
}
