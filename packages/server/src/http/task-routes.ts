/**
 * `/tasks`: tasks without bytes of their own, and what producers report on any task.
 */
import { parseBatchId, parseTaskId, IDEMPOTENCY_KEY, type Json } from "@holdfast/protocol";
import type { FastifyInstance } from "fastify";
import { applyReports } from "../tasks/reports.js";
import { invalidField } from "./field-error.js";
import { parseTaskQuery, toNextPage } from "./page-query.js";
import { parseReports } from "./report-body.js";
import { toTaskId, type IdParams, type RouteContext } from "./route-context.js";
import { NEW_TASK_SCHEMA, REPORT_SCHEMA } from "./schemas.js";

/** As NEW_TASK_SCHEMA lets it through. */
interface NewTaskBody {
  readonly id?: string;
  readonly title?: string | null;
  readonly total?: number | null;
  readonly unit?: string;
  readonly metadata?: { readonly [key: string]: Json };
  readonly batchId?: string | null;
  readonly maxAttempts?: number;
}

const MAX_KEY_CHARS = 255;

export function addTaskRoutes(app: FastifyInstance, { settings, tasks, cancel }: RouteContext): void {
  const path = `${settings.basePath}/api/v1/tasks`;

  app.post<{ Body: NewTaskBody | undefined }>(
    "/tasks",
    { schema: { summary: "Create a task", body: NEW_TASK_SCHEMA } },
    async (request, reply) => {
      const body = request.body ?? {};
      await request.authorize("produce", { taskId: body.id, batchId: body.batchId });
      const row = await tasks.create({
        id: parseTaskId(body.id),
        kind: "task",
        filename: body.title ?? null,
        total: body.total ?? null,
        unit: body.unit ?? "items",
        metadata: body.metadata ?? {},
        batchId: parseBatchId(body.batchId) ?? null,
        processing: "external",
        maxAttempts: body.maxAttempts ?? 1,
        blobKey: null,
        tusMetadata: null,
      });
      return reply.code(201).header("Location", `${path}/${row.id}`).send(tasks.toWire(row));
    },
  );

  app.get("/tasks", { schema: { summary: "List tasks, uploads among them" } }, async (request, reply) => {
    const query = parseTaskQuery(request.query);
    await request.authorize("watch", { batchId: query.batchId });
    if (query.after !== undefined) await tasks.read(query.after);
    const rows = await tasks.list({ ...query, limit: query.limit + 1 });
    const items = rows.slice(0, query.limit).map((row) => tasks.toWire(row));
    return await reply.send({ items, next: toNextPage(path, query, rows) });
  });

  app.get<{ Params: IdParams }>(
    "/tasks/:id",
    { schema: { summary: "Read a task" } },
    async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("watch", { taskId: id });
      const row = await tasks.read(id);
      return reply.header("Cache-Control", "no-store").send(tasks.toWire(row));
    },
  );

  app.delete<{ Params: IdParams }>(
    "/tasks/:id",
    { schema: { summary: "Cancel a task" } },
    async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("produce", { taskId: id });
      await cancel(id, "cancelled by request");
      return reply.code(204).send();
    },
  );

  app.post<{ Params: IdParams }>(
    "/tasks/:id/events",
    {
      schema: {
        summary: "Report on a task: one report, or one a line as application/x-ndjson",
        body: REPORT_SCHEMA,
      },
      validatorCompiler: () => () => true, // parseReports checks
    },
    async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("produce", { taskId: id });
      const key = readIdempotencyKey(request.headers);
      return await reply.send(await applyReports(tasks, id, parseReports(request.body), key));
    },
  );
}

function readIdempotencyKey(headers: {
  readonly [name: string]: string | readonly string[] | undefined;
}): string | undefined {
  const key = headers[IDEMPOTENCY_KEY.toLowerCase()];
  if (key === undefined) return undefined;
  if (typeof key !== "string" || key === "" || key.length > MAX_KEY_CHARS) {
    throw invalidField(IDEMPOTENCY_KEY, `must have 1 to ${MAX_KEY_CHARS} characters`);
  }
  return key;
}
