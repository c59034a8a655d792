/**
 * React hooks over watches and uploads. `useTask`, `useConnection` and `useUpload` are safe in StrictMode, in concurrent rendering and on a
 * server: nothing is opened while rendering, and there is nothing on a server to open. Components that look at the same task share one
 * watch; when the last of them is gone, so is it.
 */
import {
  createContext,
  createElement,
  useCallback,
  useContext,
  useSyncExternalStore,
  type ProviderProps,
  type ReactElement,
  type ReactNode,
} from "react";
import type { Task, TaskId } from "@holdfast/protocol";
import type { HoldfastClientError } from "./client-error.js";
import type { UploadHandle, UploadRetry, UploadState } from "./upload-handle.js";
import type { ConnectionInfo } from "./watch-options.js";
import { UNWATCHED, WatchRegistry, type TaskState, type Watcher } from "./watch-registry.js";
import { watchTask } from "./watch-task.js";

export type { TaskState, Watcher } from "./watch-registry.js";

const PAGE_WATCHER: Watcher = { watchTask: (taskId) => watchTask(taskId) };
const WatcherContext = createContext<Watcher>(PAGE_WATCHER);

/** By the watcher, so that all components below any provider of it share. */
const registries = new WeakMap<Watcher, WatchRegistry>();

export interface HoldfastProviderProps {
  /** The same object on every render: one made outside the component, `createSharedStreams()` for one. */
  readonly watcher: Watcher;
  readonly children?: ReactNode;
}

/** How the hooks below it watch; without one they watch at `/api/v1` of the page, each task on a stream of its own. */
export function HoldfastProvider({
  watcher,
  children,
}: HoldfastProviderProps): ReactElement<ProviderProps<Watcher>> {
  return createElement(WatcherContext.Provider, { value: watcher }, children);
}

/** The task as seen so far; null watches nothing. */
export function useTask(taskId: string | null): TaskState {
  return useTaskState(taskId, (state) => state, UNWATCHED);
}

/** How the task's connection stands, for a line like "reconnecting in 3 s"; renders only when that changes. */
export function useConnection(taskId: string | null): ConnectionInfo | null {
  return useTaskState(taskId, ({ connection }) => connection, null);
}

function useTaskState<T>(taskId: string | null, select: (state: TaskState) => T, unwatched: T): T {
  const watcher = useContext(WatcherContext);
  const registry = toRegistry(watcher);
  const subscribe = useCallback(
    (listener: () => void) => (taskId === null ? () => undefined : registry.subscribe(taskId, listener)),
    [registry, taskId],
  );
  return useSyncExternalStore(
    subscribe,
    () => (taskId === null ? unwatched : select(registry.read(taskId))),
    () => unwatched,
  );
}

function toRegistry(watcher: Watcher): WatchRegistry {
  const known = registries.get(watcher);
  if (known !== undefined) return known;
  const made = new WatchRegistry(watcher);
  registries.set(watcher, made);
  return made;
}

/** An upload as it stands: what left this machine and what the server has stored, apart. */
export interface UploadView {
  readonly state: UploadState;
  /** Null until the server knows it. */
  readonly taskId: TaskId | null;
  /** Bytes that left this machine. */
  readonly sent: number;
  /** Bytes that the server has stored. */
  readonly stored: number;
  /** Null for a stream of unknown length. */
  readonly total: number | null;
  readonly retry: UploadRetry | null;
  readonly error: HoldfastClientError | null;
  /** Null until its first snapshot; goes on after the last byte, where a producer does. */
  readonly task: Task | null;
}

type HandleView = Omit<UploadView, "stored" | "task">;

const NO_UPLOAD: HandleView = Object.freeze({
  state: "starting",
  taskId: null,
  sent: 0,
  total: null,
  retry: null,
  error: null,
});

const views = new WeakMap<UploadHandle, HandleView>();

/** Looks at an upload that `upload()` made, and at its task. It is the page's, not the component's: unmounting does not end it. */
export function useUpload(handle: UploadHandle | null): UploadView {
  const subscribe = useCallback(
    (listener: () => void) => handle?.subscribe(listener) ?? (() => undefined),
    [handle],
  );
  const view = useSyncExternalStore(
    subscribe,
    () => (handle === null ? NO_UPLOAD : readHandle(handle)),
    () => NO_UPLOAD,
  );
  const { task } = useTask(view.taskId);
  return { ...view, task, stored: task?.uploaded ?? 0 };
}

/** The same object until something changed: a handle is changed in place. */
function readHandle(handle: UploadHandle): HandleView {
  const { state, taskId, sent, total, retry, error } = handle;
  const known = views.get(handle);
  if (
    known !== undefined &&
    known.state === state &&
    known.taskId === taskId &&
    known.sent === sent &&
    known.total === total &&
    known.retry === retry &&
    known.error === error
  )
    return known;
  const view = { state, taskId, sent, total, retry, error };
  views.set(handle, view);
  return view;
}
