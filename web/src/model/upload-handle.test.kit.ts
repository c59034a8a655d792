import { HoldfastClientError, type Task, type TaskId } from "@holdfast/client";
import type { UploadHandle, UploadRetry, UploadState } from "@holdfast/client/upload";

/** An upload that does what the test says. */
export class FakeHandle implements UploadHandle {
  readonly id: Promise<TaskId> = Promise.resolve("x" as TaskId);
  readonly done: Promise<Task> = new Promise(() => undefined);
  readonly taskId: TaskId | null = null;
  readonly resumed = false;
  readonly total = 100;
  readonly calls: string[] = [];
  state: UploadState = "starting";
  sent = 0;
  retry: UploadRetry | null = null;
  error: HoldfastClientError | null = null;
  readonly #listeners = new Set<() => void>();

  set(change: Partial<Pick<FakeHandle, "state" | "sent" | "retry" | "error">>): void {
    Object.assign(this, change);
    for (const listener of this.#listeners) listener();
  }
  waitForRetry(): void {
    const error = new HoldfastClientError("NETWORK", "no answer");
    this.set({ state: "sending", retry: { error, attempt: 1, nextAttemptAt: 5000 } });
  }
  pause(): void {
    this.calls.push("pause");
    this.set({ state: "paused", retry: null });
  }
  resume(): void {
    this.calls.push("resume");
    this.set({ state: "sending" });
  }
  async cancel(): Promise<void> {
    this.calls.push("cancel");
    this.set({ state: "cancelled" });
  }
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
