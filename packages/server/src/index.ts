export { HoldfastError, type ErrorExtras } from "./errors.js";
export { createHoldfast, type Holdfast, type HostTasks, type NewHostTask } from "./holdfast.js";
export { http1OnlyMiddleware } from "./http/http1-only-middleware.js";
export type { ListeningAddress } from "./http/listener.js";
export type { MountedHandler } from "./http/mount.js";
export { noBufferMiddleware } from "./http/no-buffer-middleware.js";
export { sseMiddleware, type ConnectMiddleware, type SseMiddlewareOptions } from "./http/sse-middleware.js";
export { signToken, type NewToken } from "./http/token.js";
export {
  OptionError,
  type Action,
  type Authorize,
  type AuthorizeAnswer,
  type AuthorizeQuestion,
  type HoldfastOptions,
  type HoldfastSettings,
} from "./options.js";
export type { Delivery, DeliveryLog } from "./stores/delivery-log.js";
export { MemoryStore } from "./stores/memory-store.js";
export type { Store } from "./stores/store.js";
export type { TaskHandle } from "./tasks/task-handle.js";
