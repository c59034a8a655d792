import type { Task } from "@holdfast/protocol";
import { HoldfastClientError } from "./client-error.js";
import { toVerdict } from "./response-verdict.js";

/** A status that asking again does not change. */
export function isFinal(status: number | undefined): boolean {
  return status !== undefined && toVerdict(status, null) === "refused";
}

/** Something on the way takes no body of that size. Our server's own bound is of the whole upload, and has a code. */
export function isBodyBound({ status, problem }: HoldfastClientError): boolean {
  return status === 413 && problem?.code === undefined;
}

/** tus wraps what a hook has thrown; anything else that fails here is the network's. */
export function toClientError(error: unknown): HoldfastClientError {
  if (error instanceof HoldfastClientError) return error;
  const cause: unknown = error instanceof Error && "causingError" in error ? error.causingError : undefined;
  if (cause instanceof HoldfastClientError) return cause;
  return new HoldfastClientError("NETWORK", error instanceof Error ? error.message : String(error), {
    cause: error,
  });
}

/** Browsers report a file that changed on disk as a network error; retried, it would never end. */
export async function isReadable(file: unknown): Promise<boolean> {
  if (typeof Blob === "undefined" || !(file instanceof Blob)) return true;
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

/** Why a task that ended otherwise than completed did so. */
export function toEndingError({ status, reason, error }: Task): HoldfastClientError {
  if (status === "cancelled")
    return new HoldfastClientError("CANCELLED", reason ?? "the upload was cancelled");
  const said = error === null ? "without a reason" : `${error.code}: ${error.message}`;
  return new HoldfastClientError("TASK_FAILED", `the task failed: ${said}`);
}
