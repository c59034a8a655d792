/**
 * The stream routes: what is decided before the first byte, and how a Fastify reply becomes a stream.
 *
 *   authorize → Accept → transport → draining → Streams (resume, 404, 204) → sink: hijack, middleware → engine
 *
 * Promises: every refusal is a problem document; from the sink on nothing is answered but the stream. HEAD gets the headers a
 * stream would have, and ends. Refuses: a client that does not take text/event-stream (406), and anything new while draining (503).
 */
import { randomUUID } from "node:crypto";
import { LAST_EVENT_ID, STREAM_HEADERS } from "@holdfast/protocol";
import { nodeSink, type SessionReport, type Sink } from "@holdfast/stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.js";
import type { ConnectionName } from "../tasks/deliveries.js";
import type { StreamOutcome, StreamRequest } from "../tasks/streams.js";
import type { Grant } from "./access.js";
import { invalidField } from "./field-error.js";
import { http1OnlyMiddleware } from "./http1-only-middleware.js";
import { endEarly } from "./http2-stream.js";
import { noBufferMiddleware } from "./no-buffer-middleware.js";
import { parsePoll, type PollOf } from "./poll-query.js";
import { toBatchId, toTaskId, type IdParams, type RouteContext } from "./route-context.js";
import { STREAM_MANY_QUERY_SCHEMA, STREAM_QUERY_SCHEMA, WATCH_MANY_SCHEMA } from "./schemas.js";
import { describeStreamEnd, sseMiddleware, toLoggedPath } from "./sse-middleware.js";

const MAX_TASKS_IN_URL = 100;
const STREAM = { config: { stream: true }, exposeHeadRoute: false } as const;
const SCHEMA = {
  summary: "Watch as text/event-stream",
  produces: ["text/event-stream"],
  querystring: STREAM_QUERY_SCHEMA,
} as const;

declare module "fastify" {
  interface FastifyContextConfig {
    /** Its answers live as long as their readers: no deadline, no request log. */
    readonly stream?: boolean;
  }
}

export function addStreamRoutes(app: FastifyInstance, context: RouteContext): void {
  const { streams, tasks, batches } = context;
  const open = opener(context);

  for (const noun of ["tasks", "uploads"]) {
    const url = `/${noun}/:id/stream`;
    app.get<{ Params: IdParams }>(url, { ...STREAM, schema: SCHEMA }, async (request, reply) => {
      const id = toTaskId(request.params.id);
      const grant = await request.authorize("watch", { taskId: id });
      return await open(request, reply, "one", grant, async (stream) => await streams.openTask(id, stream));
    });
    app.head<{ Params: IdParams }>(url, { schema: { hide: true } }, async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("watch", { taskId: id });
      await tasks.read(id);
      return await sendHead(request, reply);
    });
  }

  app.get<{ Params: IdParams }>(
    "/batches/:id/stream",
    { ...STREAM, schema: SCHEMA },
    async (request, reply) => {
      const id = toBatchId(request.params.id);
      const grant = await request.authorize("watch", { batchId: id });
      return await open(request, reply, "many", grant, async (stream) => await streams.openBatch(id, stream));
    },
  );
  app.head<{ Params: IdParams }>(
    "/batches/:id/stream",
    { schema: { hide: true } },
    async (request, reply) => {
      const id = toBatchId(request.params.id);
      await request.authorize("watch", { batchId: id });
      await batches.row(id);
      return await sendHead(request, reply);
    },
  );

  app.get<{ Querystring: { task?: unknown } }>(
    "/stream",
    { ...STREAM, schema: { ...SCHEMA, querystring: STREAM_MANY_QUERY_SCHEMA } },
    async (request, reply) => {
      const ids = parseTaskList(request.query.task);
      const grant = await authorizeAll(request, ids);
      return await open(request, reply, "many", grant, async (stream) => await streams.openMany(ids, stream));
    },
  );
  app.head<{ Querystring: { task?: unknown } }>(
    "/stream",
    { schema: { hide: true } },
    async (request, reply) => {
      await authorizeAll(request, parseTaskList(request.query.task));
      return await sendHead(request, reply);
    },
  );
  app.post<{ Body: { tasks: string[] } | undefined }>(
    "/stream",
    { ...STREAM, schema: { ...SCHEMA, body: WATCH_MANY_SCHEMA } },
    async (request, reply) => {
      const ids = request.body?.tasks;
      if (ids === undefined) throw invalidField("/tasks", "is missing; name 1 to 1,000 tasks");
      const grant = await authorizeAll(request, ids);
      return await open(request, reply, "many", grant, async (stream) => await streams.openMany(ids, stream));
    },
  );
}

type Start = (stream: StreamRequest) => Promise<StreamOutcome>;

function opener(
  context: RouteContext,
): (
  request: FastifyRequest,
  reply: FastifyReply,
  of: PollOf,
  grant: Grant,
  start: Start,
) => Promise<FastifyReply | undefined> {
  const { settings, logger, metrics, streamsOpen } = context;
  const unbuffered = noBufferMiddleware();
  const http1Only = http1OnlyMiddleware();

  const takeOver = (request: FastifyRequest, reply: FastifyReply, connection: ConnectionName): Sink => {
    reply.hijack();
    const { raw: response } = reply;
    for (const [name, value] of Object.entries(reply.getHeaders()))
      if (value !== undefined) response.setHeader(name, value);
    const lines = {
      info: (line: object, text: string) => logger.info({ ...toLine(connection), ...line }, text),
    };
    sseMiddleware({ logger: lines })(request.raw, response, () => undefined);
    unbuffered(request.raw, response, () => undefined);
    metrics.streamOpened();
    return nodeSink(response, {});
  };

  return async (request, reply, of, grant, start) => {
    assertAcceptsStream(request);
    const poll = parsePoll(request.query, of);
    if (settings.sseHttp1 && poll === undefined && request.raw.httpVersionMajor >= 2) {
      reply.hijack();
      http1Only(request.raw, reply.raw, () => undefined);
      return undefined;
    }
    if (!streamsOpen()) {
      throw new HoldfastError("DRAINING", "the server is going away; come back in a moment", {
        retryAfterSeconds: 1,
      });
    }
    const connection: ConnectionName = {
      id: randomUUID(), // drawn from a pool: a system call less for each stream
      transport: poll === undefined ? "sse" : "poll",
    };
    try {
      const outcome = await start({
        connection,
        lastEventId: readLastEventId(request),
        poll,
        expiresAtMs: grant.expiresAtMs,
        sink: () => takeOver(request, reply, connection),
        onClose: (report: SessionReport) => {
          describeStreamEnd(reply.raw, report);
          metrics.streamClosed(report);
        },
      });
      if (outcome === "stream") return undefined;
      logger.info(
        { ...toLine(connection), path: toLoggedPath(request.raw) },
        "no stream: the client has had the ending",
      );
      return await reply.code(204).send();
    } catch (error) {
      if (!reply.sent) throw error;
      // The stream has begun, so there is nobody to tell: cut it, and the client comes back with its cursor.
      request.log.error({ err: error }, "a stream failed while it was being opened");
      endEarly(reply.raw);
      return undefined;
    }
  };
}

/** What every line about a connection begins with. */
function toLine({ id, transport }: ConnectionName): object {
  return { connection: id, transport };
}

async function sendHead(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  assertAcceptsStream(request);
  return await reply.headers(STREAM_HEADERS).send();
}

async function authorizeAll(request: FastifyRequest, ids: readonly string[]): Promise<Grant> {
  const grants = await Promise.all(ids.map(async (taskId) => await request.authorize("watch", { taskId })));
  const expiries = grants.flatMap(({ expiresAtMs }) => (expiresAtMs === null ? [] : [expiresAtMs]));
  return { expiresAtMs: expiries.length === 0 ? null : Math.min(...expiries) };
}

function parseTaskList(task: unknown): readonly string[] {
  const ids = (Array.isArray(task) ? task : [task]).filter(
    (id): id is string => typeof id === "string" && id !== "",
  );
  if (ids.length === 0 || ids.length > MAX_TASKS_IN_URL) {
    throw invalidField(
      "task",
      `must name 1 to ${MAX_TASKS_IN_URL} tasks, as ?task=a&task=b: got ${ids.length}`,
    );
  }
  return ids;
}

/** No Accept takes anything [rfc9110 §12.5.1]; `;q=0` takes nothing. */
function assertAcceptsStream(request: FastifyRequest): void {
  const { accept } = request.headers;
  if (accept === undefined || accept.trim() === "") return;
  const takes = accept.split(",").some((range) => {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const refused = parameters.some((parameter) => /^q=0(\.0{0,3})?$/.test(parameter));
    return !refused && (type === "text/event-stream" || type === "text/*" || type === "*/*");
  });
  if (takes) return;
  throw new HoldfastError(
    "NOT_ACCEPTABLE",
    "this route answers with text/event-stream, which Accept excludes; leave out Accept or list it",
    {
      field: "Accept",
    },
  );
}

/** The header goes before the query, which a page keeps from its first load. Node hands over latin1; EventSource sends UTF-8. */
function readLastEventId(request: FastifyRequest): string | undefined {
  const header = request.headers[LAST_EVENT_ID.toLowerCase()];
  if (typeof header === "string") return Buffer.from(header, "latin1").toString("utf8");
  const { lastEventId } = request.query as { readonly lastEventId?: unknown };
  // Said twice it is no cursor of ours, and must not pass for none: joined, as Node joins a header.
  if (Array.isArray(lastEventId)) return lastEventId.join(", ");
  return typeof lastEventId === "string" ? lastEventId : undefined;
}
