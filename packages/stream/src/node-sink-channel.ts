/**
 * A channel whose connections may be responses of `node:http` or `node:http2` too. The name says where the fence is: what knows
 * Node's responses is a node sink.
 */
import { Channel, eventStreamHeaders, type Connection, type ConnectOptions } from "./channel.js";
import type { ChannelOptions } from "./channel-options.js";
import { nodeSink } from "./node-sink.js";
import type { NodeResponse } from "./node-sink-close.js";

/** What is asked of a request: Node's own, HTTP/1.1 or HTTP/2, and what frameworks make of them. */
export interface NodeRequest {
  readonly headers: { readonly [name: string]: string | readonly string[] | undefined };
}

export class NodeChannel<State = unknown> extends Channel<State> {
  /** Answers a request with the stream. Headers set on the response before are kept. */
  connect(
    request: NodeRequest,
    response: NodeResponse,
    options: ConnectOptions<State> = {},
  ): Connection<State> {
    const sent = request.headers["last-event-id"];
    // Sent twice it is of no form of ours, and is answered with a gap.
    const lastEventId = typeof sent === "string" ? sent : (sent?.join(", ") ?? "");
    return this.attach(nodeSink(response, eventStreamHeaders(options)), { lastEventId, ...options });
  }
}

/** A channel of this process. `State` is of its connections; only filters read it. */
export function createChannel<State = unknown>(options: ChannelOptions = {}): NodeChannel<State> {
  return new NodeChannel<State>(options);
}
