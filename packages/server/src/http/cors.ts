import cors, { type FastifyCorsOptions } from "@fastify/cors";
import type { FastifyInstance, FastifyRequest } from "fastify";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];

const ALLOWED_HEADERS = [
  "Authorization",
  "Content-Range",
  "Content-Type",
  "Idempotency-Key",
  "If-Range",
  "Last-Event-ID",
  "Range",
  "Tus-Resumable",
  "Upload-Concat",
  "Upload-Defer-Length",
  "Upload-Length",
  "Upload-Metadata",
  "Upload-Offset",
  "Upload-Task-Id",
  "X-File-Name",
  "X-HTTP-Method-Override",
  "X-Requested-With",
];

const EXPOSED_HEADERS = [
  "Accept-Ranges",
  "Content-Disposition",
  "Content-Range",
  "ETag",
  "Location",
  "Retry-After",
  "Tus-Extension",
  "Tus-Max-Size",
  "Tus-Resumable",
  "Tus-Version",
  "Upload-Defer-Length",
  "Upload-Expires",
  "Upload-Length",
  "Upload-Metadata",
  "Upload-Offset",
  "Upload-Task-Id",
];

/**
 * CORS for the origins listed; nothing at all when none is. Credentials go only with a list, never with `*`.
 *
 * The settings are chosen per request, since an OPTIONS that is no preflight belongs to tus, whose answer says what the server can do.
 */
export async function addCors(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  const any = origins.includes("*");
  await app.register(cors, {
    delegator: (
      request: FastifyRequest,
      callback: (error: Error | null, options?: FastifyCorsOptions) => void,
    ) => {
      const { origin = "" } = request.headers;
      callback(null, {
        origin: any ? "*" : origins.includes(origin) && origin,
        credentials: !any,
        methods: METHODS,
        allowedHeaders: ALLOWED_HEADERS,
        exposedHeaders: EXPOSED_HEADERS,
        maxAge: 600,
        preflight: request.headers["access-control-request-method"] !== undefined,
      });
    },
  });
}
