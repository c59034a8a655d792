import type { StreamErrorEvent, StreamStateEvent, StreamStateInfo } from "./stream-event.js";

/** What a watch asks of its stream: a StableEventSource of its own, or its share of one that serves many. */
export interface StreamSource {
  readonly state: StreamStateInfo;
  /** As EventSource has it; 2 is closed. */
  readonly readyState: number;
  addEventListener(type: "state", listener: (event: StreamStateEvent) => void): void;
  addEventListener(type: "error", listener: (event: StreamErrorEvent) => void): void;
  close(): void;
}
