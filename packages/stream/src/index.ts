export type { Channel, Connection, ConnectOptions, PublishOptions } from "./channel.js";
export type { ChannelBounds, ChannelOptions } from "./channel-options.js";
export { encodeComment, encodeFrame, type FrameFields } from "./codec.js";
export { CorkedSink } from "./corked-sink.js";
export {
  StreamEngine,
  type EngineOptions,
  type EngineQueue,
  type EngineStats,
  type StreamOptions,
} from "./engine.js";
export {
  Gate,
  toLost,
  type GateOptions,
  type HistoryMark,
  type HistoryPage,
  type Lost,
  type LostTold,
} from "./gate.js";
export { Hub, type Listener } from "./hub.js";
export { createChannel, type NodeChannel, type NodeRequest } from "./node-sink-channel.js";
export { nodeSink } from "./node-sink.js";
export { onResponseClose, type NodeResponse } from "./node-sink-close.js";
export { PollGate, type PollGateOptions } from "./poll-gate.js";
export { Latest, toFrameBytes, type Milestone } from "./record.js";
export { Session, type CloseReason, type SessionOptions, type SessionReport } from "./session.js";
export type { Sink } from "./sink.js";
export { systemClock, TimerWheel, type Clock, type WheelEntry } from "./timer-wheel.js";
export { webStream, type WebStream, type WebStreamOptions } from "./web-sink.js";
