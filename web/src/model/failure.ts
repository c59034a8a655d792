import type { HoldfastClientError, TaskError } from "@holdfast/client";

/** What a person can do about it: the choice of words, and of the buttons beside them. */
export type FailureKind =
  | "incomplete"
  | "expired"
  | "too-large"
  | "damaged"
  | "storage"
  | "disk-full"
  | "producer-lost"
  | "no-access"
  | "unreadable"
  | "gone"
  | "list-closed"
  /** Without words of ours: the server's own sentence is shown. */
  | "other"
  /** The same, and it said that doing it all again would not help. */
  | "final";

export interface Failure {
  readonly kind: FailureKind;
  readonly code: string;
  /** The server's or the client's own sentence, shown where no words of ours fit. */
  readonly message: string;
}

const KINDS: { readonly [code: string]: FailureKind } = {
  UPLOAD_INCOMPLETE: "incomplete",
  UPLOAD_EXPIRED: "expired",
  UPLOAD_TOO_LARGE: "too-large",
  UPLOAD_DAMAGED: "damaged",
  STORAGE_FAILED: "storage",
  INSUFFICIENT_STORAGE: "disk-full",
  PRODUCER_LOST: "producer-lost",
  UNAUTHENTICATED: "no-access",
  FORBIDDEN: "no-access",
  UNREADABLE_FILE: "unreadable",
  UPLOAD_GONE: "gone",
  TASK_NOT_FOUND: "gone",
  TASK_EXPIRED: "gone",
  BATCH_CLOSED: "list-closed",
};

const toKind = (code: string): FailureKind =>
  (Object.hasOwn(KINDS, code) ? KINDS[code] : undefined) ?? "other";

export function fromTaskError({ code, message, retryable }: TaskError): Failure {
  const kind = toKind(code);
  return { kind: kind === "other" && !retryable ? "final" : kind, code, message };
}

export function fromClientError({ code, message, problem }: HoldfastClientError): Failure {
  const finest = problem?.code ?? code;
  return { kind: toKind(finest), code: finest, message: problem?.detail ?? problem?.title ?? message };
}
