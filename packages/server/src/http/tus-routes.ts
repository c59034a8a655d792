/**
 * tus 1.0.0, the core protocol with creation, creation-with-upload, creation-defer-length, termination and expiration.
 *
 * Written here and not taken from @tus/server: docs/decisions/0010 says why and what was measured. The rules are
 * those of https://tus.io/protocols/resumable-upload; a refusal is a problem document like any other, with Tus-Resumable.
 * Promises: a request that fails stores no byte beyond what it had announced; HEAD ends a running PATCH of the same upload, as a
 * client that resumes after a half-open connection needs, and is refused while a one-shot brings the bytes; nothing here is a way
 * to watch.
 */
import { isTerminal } from "@holdfast/protocol";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { Tasks } from "../tasks/tasks.js";
import {
  parseByteCount,
  parseTusMetadata,
  TUS_BYTES,
  TUS_EXTENSIONS,
  TUS_VERSION,
} from "../uploads/tus-headers.js";
import type { Uploads } from "../uploads/uploads.js";
import { toTaskId, type IdParams } from "./route-context.js";
import { readBodyLength, toIncoming } from "./upload-body.js";

export interface TusContext {
  readonly tasks: Tasks;
  readonly uploads: Uploads;
  /** Path of the uploads, without a trailing slash. */
  readonly path: string;
}

type IdRequest = FastifyRequest<{ Params: IdParams }>;

/** [tus Core] every request but OPTIONS carries the header; without it a request is not tus. */
export function speaksTus(request: FastifyRequest): boolean {
  return request.headers["tus-resumable"] !== undefined;
}

export function addTusRoutes(app: FastifyInstance, context: TusContext): void {
  const discover = async (_request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const { maxUploadBytes } = context.uploads;
    void reply.headers({
      "Tus-Resumable": TUS_VERSION,
      "Tus-Version": TUS_VERSION,
      "Tus-Extension": TUS_EXTENSIONS,
    });
    if (maxUploadBytes !== null) void reply.header("Tus-Max-Size", String(maxUploadBytes));
    return await reply.code(204).send();
  };
  // A discovery of tus, not a part of the JSON API: it says nothing of any upload.
  app.options("/uploads", { config: { open: true }, schema: { hide: true } }, discover);
  app.options("/uploads/:id", { config: { open: true }, schema: { hide: true } }, discover);
  app.patch<{ Params: IdParams }>(
    "/uploads/:id",
    { schema: { summary: "tus: send bytes", params: ID_PARAMS } },
    async (request, reply) => await patchTus(context, request, reply),
  );
  app.post<{ Params: IdParams }>(
    "/uploads/:id",
    { schema: { summary: "tus: another method, named by X-HTTP-Method-Override", params: ID_PARAMS } },
    async (request, reply) => await overrideTus(context, request, reply),
  );
}

const ID_PARAMS = { type: "object", properties: { id: { type: "string" } } };

/** [tus Creation], with bytes when the body has the type for them. */
export async function createTus(
  { tasks, uploads, path }: TusContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  assertTus(request, reply);
  if (request.headers["upload-concat"] !== undefined) {
    throw new HoldfastError(
      "TUS_EXTENSION",
      "concatenation is not spoken here; send the file as one upload",
      {
        field: "Upload-Concat",
      },
    );
  }
  const metadata = parseTusMetadata(readHeader(request, "Upload-Metadata"));
  const total = readLength(request);
  const hasBytes = request.headers["content-type"] === TUS_BYTES;
  const length = hasBytes ? readBodyLength(request) : 0;
  if (total !== null && length !== null && length > total) {
    throw new HoldfastError(
      "UPLOAD_TOO_LARGE",
      `the body is longer than the upload: got ${length} bytes, Upload-Length ${total}`,
    );
  }
  await request.authorize("upload", { taskId: metadata.taskId, batchId: metadata.batchId });
  const created = await uploads.create({
    id: metadata.taskId,
    filename: metadata.filename,
    total,
    metadata: metadata.rest,
    batchId: metadata.batchId,
    processing: metadata.processing,
    tusMetadata: metadata.raw,
  });
  const receives = hasBytes && length !== 0 && !isTerminal(created.status);
  const row = receives
    ? await uploads.take(created.id, toIncoming(request, "tus", 0))
    : await tasks.read(created.id);
  void reply.code(201).header("Location", `${path}/${row.id}`);
  if (hasBytes) void reply.header("Upload-Offset", String(row.done));
  return await sendExpiring(reply, row);
}

/** [tus Core: HEAD] */
export async function headTus(
  { tasks, uploads }: TusContext,
  request: IdRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const id = toTaskId(request.params.id);
  await request.authorize("upload", { taskId: id });
  assertTus(request, reply);
  assertPresent(await tasks.read(id));
  // A writer that may be half open has stopped when we answer: the offset is then final.
  const lock = await uploads.locks.acquire(id);
  lock.release();
  const row = assertPresent(await tasks.read(id));
  void reply.code(200).headers({ "Upload-Offset": String(row.done), "Cache-Control": "no-store" });
  if (row.total === null) void reply.header("Upload-Defer-Length", "1");
  else void reply.header("Upload-Length", String(row.total));
  if (row.tusMetadata !== null) void reply.header("Upload-Metadata", row.tusMetadata);
  return await sendExpiring(reply, row);
}

/** [tus Termination] */
export async function deleteTus(
  { tasks, uploads }: TusContext,
  request: IdRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const id = toTaskId(request.params.id);
  await request.authorize("upload", { taskId: id });
  assertTus(request, reply);
  const row = assertPresent(await tasks.read(id));
  await uploads.discard(row, "terminated by its client");
  return await reply.code(204).send();
}

/** [tus Core: PATCH] */
async function patchTus(
  { tasks, uploads }: TusContext,
  request: IdRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const id = toTaskId(request.params.id);
  await request.authorize("upload", { taskId: id });
  assertTus(request, reply);
  if (request.headers["content-type"] !== TUS_BYTES) {
    throw new HoldfastError("UNSUPPORTED_MEDIA_TYPE", `a tus PATCH must be ${TUS_BYTES}`, {
      field: "Content-Type",
    });
  }
  const offsetText = readHeader(request, "Upload-Offset");
  if (offsetText === undefined) {
    throw new HoldfastError("INVALID_REQUEST", "Upload-Offset is missing; HEAD tells where to go on", {
      field: "Upload-Offset",
    });
  }
  const offset = parseByteCount("Upload-Offset", offsetText);
  const before = assertPresent(await tasks.read(id));
  const lengthText = readHeader(request, "Upload-Length");
  const total = lengthText === undefined ? null : parseByteCount("Upload-Length", lengthText);
  if (isWholeAlready(before, offset, readBodyLength(request))) return await sendOffset(reply, before);
  const row = await uploads.take(id, toIncoming(request, "tus", offset, total));
  return await sendOffset(reply, row);
}

/** A retry of the last PATCH whose answer was lost: it changes nothing and is answered like the first. */
function isWholeAlready(row: TaskRow, offset: number, length: number | null): boolean {
  return (row.status === "completed" || row.status === "processing") && offset === row.done && length === 0;
}

async function overrideTus(
  context: TusContext,
  request: IdRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const method = readHeader(request, "X-HTTP-Method-Override")?.toUpperCase();
  if (method === "PATCH") return await patchTus(context, request, reply);
  if (method === "DELETE") return await deleteTus(context, request, reply);
  if (method === "HEAD") return await headTus(context, request, reply);
  await request.authorize("upload", { taskId: toTaskId(request.params.id) });
  void reply.header("Allow", "GET, HEAD, PATCH, DELETE, OPTIONS");
  throw new HoldfastError("METHOD_NOT_ALLOWED", "POST goes to the uploads, PATCH to one of them");
}

function assertTus(request: FastifyRequest, reply: FastifyReply): void {
  void reply.header("Tus-Resumable", TUS_VERSION);
  if (request.headers["tus-resumable"] === TUS_VERSION) return;
  void reply.header("Tus-Version", TUS_VERSION);
  throw new HoldfastError(
    "TUS_VERSION",
    `this server speaks tus ${TUS_VERSION}; send Tus-Resumable: ${TUS_VERSION}`,
    {
      field: "Tus-Resumable",
    },
  );
}

/** [tus Creation] exactly one of Upload-Length and Upload-Defer-Length: 1. */
function readLength(request: FastifyRequest): number | null {
  const length = readHeader(request, "Upload-Length");
  const deferred = readHeader(request, "Upload-Defer-Length");
  if (length !== undefined && deferred === undefined) return parseByteCount("Upload-Length", length);
  if (length === undefined && deferred === "1") return null;
  throw new HoldfastError(
    "INVALID_REQUEST",
    "exactly one of Upload-Length and Upload-Defer-Length: 1 must be sent",
    { field: "Upload-Length" },
  );
}

/** [tus Expiration, Termination] 410 for what was here and is not any more. */
function assertPresent(row: TaskRow): TaskRow {
  if (row.kind !== "upload") throw new HoldfastError("TASK_NOT_FOUND", `task ${row.id} is no upload`);
  if (
    row.status === "failed" ||
    row.status === "cancelled" ||
    (row.status === "completed" && row.blobKey === null)
  ) {
    throw new HoldfastError(
      "UPLOAD_GONE",
      `upload ${row.id} has ended as ${row.status} and its bytes are gone; create another`,
    );
  }
  return row;
}

async function sendOffset(reply: FastifyReply, row: TaskRow): Promise<FastifyReply> {
  void reply.code(204).header("Upload-Offset", String(row.done));
  return await sendExpiring(reply, row);
}

async function sendExpiring(reply: FastifyReply, row: TaskRow): Promise<FastifyReply> {
  const receiving = row.status === "pending" || row.status === "uploading";
  if (receiving && row.dueAtMs !== null)
    void reply.header("Upload-Expires", new Date(row.dueAtMs).toUTCString());
  return await reply.send();
}

function readHeader(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name.toLowerCase()];
  return Array.isArray(value) ? value.join(",") : value;
}
