/**
 * The HTTP door: a Fastify instance with every route, ready to be called with `(req, res)`.
 *
 *   message guard → origin guard → CORS → token → body (bounded) → schema → handler → answer or problem document
 *
 * Promises: every refusal is a problem document with a code of the closed set; a wrong method on a known path is 405 with Allow;
 * nothing a client sends is coerced, and nothing unknown is dropped in silence; no answer outlives `writeTimeoutMs` without a byte taken.
 * Refuses: to listen (listener.ts), to know where it is mounted in a host (mount.ts).
 */
import { maxHeaderSize, type IncomingMessage, type ServerResponse } from "node:http";
import swagger from "@fastify/swagger";
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
} from "fastify";
import { HoldfastError } from "../errors.js";
import { addAccess, type AccessOptions } from "./access.js";
import { addBatchRoutes } from "./batch-routes.js";
import { addControlRoutes } from "./control-routes.js";
import { addCors } from "./cors.js";
import { addDeliveryRoutes } from "./delivery-routes.js";
import { limitTaking, type NodeRequest, type NodeResponse } from "./http2-stream.js";
import { addJsonParsers } from "./json-body.js";
import { addMessageGuard } from "./message-guard.js";
import { addOperationsRoutes } from "./operations-routes.js";
import { addOriginGuard } from "./origin-guard.js";
import { addPageRoutes } from "./page-routes.js";
import { addProbeRoutes } from "./probe-routes.js";
import { problemHeaders, toHoldfastError, toProblem } from "./problem.js";
import { addRequestLog } from "./request-log.js";
import type { RouteContext } from "./route-context.js";
import { RouteTable } from "./route-table.js";
import { addStreamRoutes } from "./stream-routes.js";
import { addTaskRoutes } from "./task-routes.js";
import { lingerAfter } from "./upload-body.js";

export interface DoorOptions {
  readonly context: RouteContext;
  readonly batchOf: AccessOptions["batchOf"];
  /** Routes of uploads, which bring parsers of their own; undefined where there are none. */
  readonly uploads: FastifyPluginAsync | undefined;
}

export interface Door {
  readonly app: FastifyInstance;
  readonly route: (request: NodeRequest, response: NodeResponse) => void;
  /** Whether a path, basePath included, is the service's: all of the API, known or not, and what else has a route. */
  readonly owns: (path: string) => boolean;
}

export async function openDoor({ context, batchOf, uploads }: DoorOptions): Promise<Door> {
  const { settings, logger, metrics } = context;
  const { basePath } = settings;
  const loggerInstance: FastifyBaseLogger = logger.child({}, { serializers: { req: toLoggedRequest } });
  const app: FastifyInstance = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    routerOptions: {
      ignoreTrailingSlash: true,
      maxParamLength: maxHeaderSize, // an id that is too long is an unknown id, not a broken URL
    },
    ajv: {
      customOptions: {
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        verbose: true,
        strictTypes: false,
      },
    },
    frameworkErrors: (error, request, reply) => sendError(error, request, reply),
  });
  const table = new RouteTable();
  table.watch(app);
  app.setErrorHandler(sendError);
  app.setNotFoundHandler(async (request, reply) => await sendNotFound(table, request, reply));
  app.addHook("onSend", async (request, reply) => {
    // [rfc9113 §8.2.2] Fastify says `close` with some refusals, over either version.
    if (request.raw.httpVersionMajor >= 2) void reply.removeHeader("Connection");
    lingerAfter(reply);
    if (!reply.hasHeader("Cache-Control")) void reply.header("Cache-Control", "no-store");
    limitTaking(reply.raw, settings.writeTimeoutMs);
  });
  addRequestLog(app, basePath, metrics);
  addMessageGuard(app);
  addOriginGuard(app, settings.corsOrigins);
  await addCors(app, settings.corsOrigins);
  addAccess(app, { authSecret: settings.authSecret, authorize: settings.authorize, batchOf });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "Holdfast",
        description: "Resumable uploads and tasks with live progress over Server-Sent Events",
        version: "1",
      },
    },
  });

  await app.register(
    async (scope) => {
      addJsonParsers(scope, settings.readTimeoutMs);
      // No body says what an empty object says: everything a creation takes is optional.
      scope.addHook("preValidation", async (request) => {
        if (request.method === "POST") request.body ??= {};
      });
      addTaskRoutes(scope, context);
      addControlRoutes(scope, context);
      addDeliveryRoutes(scope, context);
      addBatchRoutes(scope, context);
      addStreamRoutes(scope, context);
    },
    { prefix: `${basePath}/api/v1` },
  );
  if (settings.probe)
    await app.register(async (scope) => addProbeRoutes(scope), { prefix: `${basePath}/api/v1` });
  if (uploads !== undefined) await app.register(uploads, { prefix: `${basePath}/api/v1` });
  await app.register(async (scope) => addOperationsRoutes(scope, context), { prefix: basePath });
  const { pageDir } = settings;
  if (pageDir !== null)
    await app.register(async (scope) => await addPageRoutes(scope, pageDir), { prefix: basePath });
  await app.ready();
  const api = `${basePath}/api/v1`;
  return {
    app,
    // Fastify serves both versions; its types know only the one it was made for.
    route: (request, response) => app.routing(request as IncomingMessage, response as ServerResponse),
    owns: (path) => path === api || path.startsWith(`${api}/`) || table.methodsOf(path).length > 0,
  };
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const refusal = toHoldfastError(error);
  // Going away is no failure, and thousands may ask meanwhile; nor is it one that a client asks for what was never promised.
  if (refusal.status >= 500 && refusal.status !== 501 && refusal.code !== "DRAINING")
    request.log.error({ err: refusal.cause ?? refusal, code: refusal.code }, "request failed");
  if (reply.sent) return;
  void reply
    .code(refusal.status)
    .headers(problemHeaders(refusal))
    .send(JSON.stringify(toProblem(refusal)));
}

async function sendNotFound(
  table: RouteTable,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const path = request.url.split("?", 1)[0] ?? "";
  const methods = table.methodsOf(path);
  if (methods.length === 0) {
    throw new HoldfastError("ROUTE_NOT_FOUND", "no route has this path; /openapi.json lists them all");
  }
  void reply.header("Allow", [...methods, "OPTIONS"].join(", "));
  if (request.method === "OPTIONS") return await reply.code(204).send();
  throw new HoldfastError(
    "METHOD_NOT_ALLOWED",
    `this path does not answer to ${request.method}, but to ${methods.join(", ")}`,
  );
}

/** Fastify's own lines would hold the URL, and that a token. */
function toLoggedRequest(request: FastifyRequest): { readonly method: string; readonly path: string } {
  return { method: request.method, path: (request.url ?? "").split("?", 1)[0] ?? "" };
}
