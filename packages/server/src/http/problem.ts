/**
 * Errors as the wire shows them: RFC 9457 problem documents with a stable code.
 *
 * Promises: every error of the domain, of Fastify and of its plugins becomes a code of the closed set; what is unknown becomes
 * INTERNAL and says nothing of its cause, which goes to the log. Called by: the door's error handler, the listener (requests that
 * never reached the door), the middleware.
 */
import type { ErrorCode, ProblemDocument } from "@holdfast/protocol";
import type { FastifyError } from "fastify";
import { HoldfastError } from "../errors.js";
import { toFieldError } from "./field-error.js";
import type { NodeResponse } from "./http2-stream.js";

export const PROBLEM_TYPE = "application/problem+json; charset=utf-8";

const FASTIFY_CODES: { readonly [code: string]: readonly [ErrorCode, string] } = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    "UNSUPPORTED_MEDIA_TYPE",
    "the Content-Type of this request is not one that the route takes; see /openapi.json",
  ],
  FST_ERR_CTP_BODY_TOO_LARGE: ["BODY_TOO_LARGE", "the body is larger than this route takes"],
  FST_ERR_CTP_EMPTY_JSON_BODY: ["INVALID_REQUEST", "the body is empty; send a JSON document"],
  FST_ERR_CTP_INVALID_JSON_BODY: ["INVALID_REQUEST", "the body is not valid JSON"],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [
    "INVALID_REQUEST",
    "the body is not as long as Content-Length announced",
  ],
  FST_ERR_BAD_URL: [
    "INVALID_REQUEST",
    "the path is not a valid URL path: its percent-encoding can't be decoded",
  ],
  FST_ERR_MAX_PARAM_LENGTH: [
    "ROUTE_NOT_FOUND",
    "a part of the path is longer than any id; ids have at most 64 characters",
  ],
  FST_ERR_NOT_FOUND: ["ROUTE_NOT_FOUND", "no route has this path"],
};

/** Codes for errors of plugins that bring a status and nothing else. */
const STATUS_CODES: { readonly [status: number]: ErrorCode } = {
  404: "ROUTE_NOT_FOUND",
  405: "METHOD_NOT_ALLOWED",
  406: "NOT_ACCEPTABLE",
  413: "BODY_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  416: "RANGE_NOT_SATISFIABLE",
  431: "HEADERS_TOO_LARGE",
};

/** The error as a refusal of ours; the unknown becomes INTERNAL with the original as its cause. */
export function toHoldfastError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error;
  if (error instanceof Error) {
    const { code, statusCode, validation } = error as Partial<FastifyError>;
    const first = validation?.[0];
    if (first !== undefined) return toFieldError(first);
    const mapped = code === undefined ? undefined : FASTIFY_CODES[code];
    if (mapped !== undefined) return new HoldfastError(mapped[0], mapped[1], { cause: error });
    if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
      return new HoldfastError(STATUS_CODES[statusCode] ?? "INVALID_REQUEST", error.message, {
        cause: error,
      });
    }
  }
  return new HoldfastError("INTERNAL", "the server failed at this request; its log says why", {
    cause: error,
  });
}

export function toProblem(error: HoldfastError): ProblemDocument {
  return {
    type: `urn:holdfast:error:${error.code}`,
    title: toTitle(error.code),
    status: error.status,
    code: error.code,
    detail: error.message,
    ...(error.field !== undefined && { field: error.field }),
  };
}

export function problemHeaders(error: HoldfastError): { readonly [name: string]: string } {
  return {
    "Content-Type": PROBLEM_TYPE,
    "Cache-Control": "no-store",
    ...(error.retryAfterSeconds !== undefined && { "Retry-After": String(error.retryAfterSeconds) }),
    ...(error.code === "UNAUTHENTICATED" && { "WWW-Authenticate": 'Bearer realm="holdfast"' }),
  };
}

/** Answers on a bare response; does nothing when it has begun. */
export function sendProblem(response: NodeResponse, error: HoldfastError): void {
  if (response.headersSent || response.destroyed) return;
  response.statusCode = error.status;
  for (const [name, value] of Object.entries(problemHeaders(error))) response.setHeader(name, value);
  response.end(JSON.stringify(toProblem(error)));
}

/** `TASK_NOT_FOUND` → `Task not found`. */
function toTitle(code: ErrorCode): string {
  if (code === "HTTP_1_1_REQUIRED") return "HTTP/1.1 required";
  const words = code.toLowerCase().replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
