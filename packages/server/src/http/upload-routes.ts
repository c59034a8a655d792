/**
 * `/uploads`: every way to bring bytes, one task for each.
 *
 * What a POST is, its headers say: Tus-Resumable is tus; otherwise the Content-Type decides between an upload to be filled
 * later (JSON), raw bytes, and a form. All of them end in `Uploads.take`.
 */
import type { IncomingMessage } from "node:http";
import {
  isTerminal,
  parseBatchId,
  parseTaskId,
  UPLOAD_TASK_ID,
  X_FILE_NAME,
  type Json,
  type TaskId,
} from "@holdfast/protocol";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { BlobStore } from "../blobs/blob-store.js";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import { parseProcessing, toFilename, TUS_VERSION } from "../uploads/tus-headers.js";
import type { Incoming } from "../uploads/incoming.js";
import type { NewUpload, Uploads } from "../uploads/uploads.js";
import { addContentRoutes } from "./content-routes.js";
import { readForm } from "./form-body.js";
import { addJsonParsers } from "./json-body.js";
import { parseTaskQuery, toNextPage } from "./page-query.js";
import { toTaskId, type IdParams, type RouteContext } from "./route-context.js";
import { NEW_UPLOAD_SCHEMA } from "./schemas.js";
import { addTusRoutes, createTus, deleteTus, headTus, speaksTus, type TusContext } from "./tus-routes.js";
import { toIncoming } from "./upload-body.js";

export interface UploadRoutesOptions extends Pick<RouteContext, "settings" | "tasks"> {
  readonly uploads: Uploads;
  readonly blobs: BlobStore;
}

interface NewUploadBody {
  readonly id?: string;
  readonly filename?: string | null;
  readonly total?: number | null;
  readonly metadata?: { readonly [key: string]: Json };
  readonly batchId?: string | null;
  readonly processing?: "none" | "external";
}

export function addUploadRoutes(app: FastifyInstance, options: UploadRoutesOptions): void {
  const { settings, tasks, uploads } = options;
  const path = `${settings.basePath}/api/v1/uploads`;
  const tus: TusContext = { tasks, uploads, path };
  addJsonParsers(app, settings.readTimeoutMs);
  // Bytes are for the handler: nobody reads them before it.
  app.addContentTypeParser("*", (_request, _payload: IncomingMessage, done) => done(null, undefined));
  app.addHook("onRequest", async (request, reply) => {
    // [tus Core] every answer carries it, refusals too.
    if (speaksTus(request)) void reply.header("Tus-Resumable", TUS_VERSION);
  });
  addTusRoutes(app, tus);
  addContentRoutes(app, options);

  app.post<{ Body: NewUploadBody | undefined }>(
    "/uploads",
    { schema: { summary: "Create an upload: tus, JSON, raw bytes or a form" } },
    async (request, reply) => {
      if (speaksTus(request)) return await createTus(tus, request, reply);
      const type = String((request.headers["content-type"] ?? "").split(";", 1)[0])
        .trim()
        .toLowerCase();
      switch (type) {
        case "application/json":
          return await created(reply, await createLater(options, request));
        case "application/octet-stream":
          return await created(reply, await takeRaw(options, request));
        case "multipart/form-data":
          return await takeForm(options, request, reply, created);
        default:
          throw new HoldfastError(
            "UNSUPPORTED_MEDIA_TYPE",
            "an upload is application/json (to be filled later), application/octet-stream, multipart/form-data, or tus",
            { field: "Content-Type" },
          );
      }
    },
  );

  app.get("/uploads", { schema: { summary: "List uploads" } }, async (request, reply) => {
    const query = { ...parseTaskQuery(request.query), kind: "upload" } as const;
    await request.authorize("watch", { batchId: query.batchId });
    if (query.after !== undefined) await tasks.read(query.after);
    const rows = await tasks.list({ ...query, limit: query.limit + 1 });
    const items = rows.slice(0, query.limit).map((row) => tasks.toWire(row));
    return await reply.send({ items, next: toNextPage(path, query, rows) });
  });

  app.head<{ Params: IdParams }>(
    "/uploads/:id",
    { schema: { summary: "tus: how far an upload is" } },
    async (request, reply) => {
      if (speaksTus(request)) return await headTus(tus, request, reply);
      await readUpload(options, request);
      return await reply.type("application/json; charset=utf-8").send();
    },
  );

  app.get<{ Params: IdParams }>(
    "/uploads/:id",
    { exposeHeadRoute: false, schema: { summary: "Read an upload's task" } },
    async (request, reply) => await reply.send(tasks.toWire(await readUpload(options, request))),
  );

  app.delete<{ Params: IdParams }>(
    "/uploads/:id",
    { schema: { summary: "Cancel an upload, or remove the bytes of a completed one" } },
    async (request, reply) => {
      if (speaksTus(request)) return await deleteTus(tus, request, reply);
      const id = toTaskId(request.params.id);
      await request.authorize("upload", { taskId: id });
      await uploads.discard(assertUpload(await tasks.read(id)), "cancelled by request");
      return await reply.code(204).send();
    },
  );

  async function created(reply: FastifyReply, row: TaskRow): Promise<FastifyReply> {
    return await reply.code(201).header("Location", `${path}/${row.id}`).send(tasks.toWire(row));
  }
}

async function readUpload(
  { tasks }: UploadRoutesOptions,
  request: FastifyRequest<{ Params: IdParams }>,
): Promise<TaskRow> {
  const id = toTaskId(request.params.id);
  await request.authorize("watch", { taskId: id });
  return assertUpload(await tasks.read(id));
}

/** Who may only upload must not reach the jobs of producers by another door. Throws TASK_NOT_FOUND. */
function assertUpload(row: TaskRow): TaskRow {
  if (row.kind === "upload") return row;
  throw new HoldfastError("TASK_NOT_FOUND", `task ${row.id} is no upload; see /tasks/${row.id}`);
}

async function createLater(
  { uploads }: UploadRoutesOptions,
  request: FastifyRequest<{ Body: NewUploadBody | undefined }>,
): Promise<TaskRow> {
  const validate = request.compileValidationSchema(NEW_UPLOAD_SCHEMA);
  const body: NewUploadBody = request.body ?? {};
  if (!validate(body)) {
    // The same refusal as a schema on the route makes; only here the body may as well be bytes.
    throw Object.assign(new Error("invalid body"), { validation: validate.errors ?? [], statusCode: 422 });
  }
  await request.authorize("upload", { taskId: body.id, batchId: body.batchId });
  return await uploads.create({
    id: parseTaskId(body.id),
    filename: toFilename(body.filename ?? ""),
    total: body.total ?? null,
    metadata: body.metadata ?? {},
    batchId: parseBatchId(body.batchId) ?? null,
    processing: body.processing ?? "none",
    tusMetadata: null,
  });
}

async function takeRaw(options: UploadRoutesOptions, request: FastifyRequest): Promise<TaskRow> {
  const incoming = toIncoming(request, "one-shot", 0);
  const target = await bind(options, request, {
    filename: toFilename(readFileName(request)),
    total: incoming.length,
    metadata: {},
    batchId: null,
    processing: "none",
    tusMetadata: null,
  });
  return isTerminal(target.status) ? target : await options.uploads.take(target.id, incoming);
}

async function takeForm(
  options: UploadRoutesOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  created: (reply: FastifyReply, row: TaskRow) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const rows: TaskRow[] = [];
  await readForm(
    request.raw,
    options.settings.readTimeoutMs,
    async ({ source, filename, fields, isWhole }) => {
      const { batchId, processing, ...metadata } = fields;
      if (batchId !== undefined && parseBatchId(batchId) === undefined) {
        throw new HoldfastError("INVALID_FIELD", "batchId must be an id of 1 to 64 of A-Z a-z 0-9 _ -", {
          field: "batchId",
        });
      }
      const target = await bind(
        options,
        rows.length === 0 ? request : undefined,
        {
          filename: toFilename(filename ?? ""),
          total: null,
          metadata,
          batchId: parseBatchId(batchId) ?? null,
          processing: parseProcessing(processing),
          tusMetadata: null,
        },
        request,
      );
      const incoming: Incoming = { kind: "one-shot", source, offset: 0, length: null, total: null, isWhole };
      rows.push(await options.uploads.take(target.id, incoming));
    },
  );
  const [first] = rows;
  if (first === undefined) {
    throw new HoldfastError("INVALID_FIELD", "the form holds no file; add a part with a filename", {
      field: "file",
    });
  }
  if (rows.length === 1) return await created(reply, first);
  return await reply.code(201).send({ items: rows.map((row) => options.tasks.toWire(row)), next: null });
}

/** The upload that Upload-Task-Id names, or a new one. Throws TASK_NOT_FOUND, OFFSET_MISMATCH. */
async function bind(
  { tasks, uploads }: UploadRoutesOptions,
  binding: FastifyRequest | undefined,
  upload: NewUpload,
  request: FastifyRequest | undefined = binding,
): Promise<TaskRow> {
  const named = binding?.headers[UPLOAD_TASK_ID.toLowerCase()];
  if (typeof named !== "string") {
    await request?.authorize("upload", { batchId: upload.batchId });
    return await uploads.create(upload);
  }
  const id: TaskId = toTaskId(named);
  await request?.authorize("upload", { taskId: id });
  const row = await tasks.read(id);
  if (row.status !== "pending") {
    throw new HoldfastError(
      isTerminal(row.status) ? "TASK_ENDED" : "OFFSET_MISMATCH",
      `upload ${id} is ${row.status} with ${row.done} bytes: a one-shot body begins an upload; go on with tus`,
      { field: UPLOAD_TASK_ID },
    );
  }
  return row;
}

/** Percent-encoded UTF-8; what can't be decoded is taken as it is. */
function readFileName(request: FastifyRequest): string {
  const header = request.headers[X_FILE_NAME.toLowerCase()];
  const text = typeof header === "string" ? header : "";
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a name is for people: a stray percent sign is no reason to refuse a file
  }
}
