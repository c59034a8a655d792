/**
 * The bytes of an upload by PUT and GET.
 *
 * PUT without Content-Range brings the whole content; with it, a part that begins where the upload stands. GET answers ranges
 * (one at a time) and is always an attachment in a sandbox: what people upload must never run on this origin.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { BlobStore } from "../blobs/blob-store.js";
import { HoldfastError } from "../errors.js";
import type { TaskRow } from "../tasks/task-row.js";
import type { Tasks } from "../tasks/tasks.js";
import type { Uploads } from "../uploads/uploads.js";
import { toTaskId, type IdParams } from "./route-context.js";
import { readBodyLength, toIncoming } from "./upload-body.js";

export interface ContentContext {
  readonly tasks: Tasks;
  readonly uploads: Uploads;
  readonly blobs: BlobStore;
}

type ContentRequest = FastifyRequest<{ Params: IdParams }>;

interface Range {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

export function addContentRoutes(app: FastifyInstance, { tasks, uploads, blobs }: ContentContext): void {
  app.put<{ Params: IdParams }>(
    "/uploads/:id/content",
    { schema: { summary: "Send the content of an upload as raw bytes" } },
    async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("upload", { taskId: id });
      const row = await tasks.read(id);
      const part = readContentRange(request, row);
      const after = await uploads.take(id, toIncoming(request, part.kind, part.offset, part.total));
      return await reply.send(tasks.toWire(after));
    },
  );

  const send = async (request: ContentRequest, reply: FastifyReply): Promise<FastifyReply> =>
    await sendContent({ tasks, uploads, blobs }, request, reply);
  app.get<{ Params: IdParams }>(
    "/uploads/:id/content",
    { exposeHeadRoute: false, schema: { summary: "The stored bytes, with Range" } },
    send,
  );
  // Not Fastify's own, which would read the whole file and drop it.
  app.head<{ Params: IdParams }>(
    "/uploads/:id/content",
    { schema: { summary: "Size and name of the stored bytes" } },
    send,
  );
}

async function sendContent(
  { tasks, blobs }: ContentContext,
  request: ContentRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const id = toTaskId(request.params.id);
  await request.authorize("watch", { taskId: id });
  const row = assertStored(await tasks.read(id));
  if ((await blobs.length(row.blobKey)) !== row.done) {
    throw new HoldfastError(
      "CONTENT_GONE",
      `the content of upload ${id} was removed or damaged: fewer bytes are stored than were confirmed`,
    );
  }
  const etag = `"${row.blobKey}"`;
  void reply.headers({
    "Accept-Ranges": "bytes",
    "Cache-Control": "private, no-cache",
    "Content-Disposition": toDisposition(row.filename ?? row.id),
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
    ETag: etag,
  });
  if (namesEtag(request.headers["if-none-match"], etag)) return await reply.code(304).send();
  // [rfc9110 §13.1.5] a range of another version would be glued to this one.
  const condition = request.headers["if-range"];
  const range =
    condition === undefined || condition === etag ? readRange(request, reply, row.done) : undefined;
  const { start, end } = range ?? { start: 0, end: row.done };
  if (range !== undefined) {
    void reply.code(206).header("Content-Range", `bytes ${start}-${end - 1}/${row.done}`);
  }
  void reply.headers({ "Content-Type": "application/octet-stream", "Content-Length": String(end - start) });
  if (request.method === "HEAD") return await reply.send();
  if (end === start) return await reply.send("");
  return await reply.send(blobs.read(row.blobKey, { start, end }));
}

/** [rfc9110 §13.1.2] weakly compared. */
function namesEtag(header: string | undefined, etag: string): boolean {
  return (header ?? "")
    .split(",")
    .some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === etag);
}

interface Part {
  readonly offset: number;
  readonly total: number | null;
  readonly kind: "part" | "whole";
}

/** Throws INVALID_REQUEST, INVALID_FIELD. */
function readContentRange(request: FastifyRequest, row: TaskRow): Part {
  const header = request.headers["content-range"];
  const length = readBodyLength(request);
  if (header === undefined) {
    if (length !== null && row.total !== null && length < row.total) {
      throw new HoldfastError(
        "INVALID_FIELD",
        `the body is not the whole content: got ${length} bytes, total ${row.total}; send all of it, a part with Content-Range, or tus`,
        { field: "Content-Length" },
      );
    }
    return { offset: 0, total: null, kind: "whole" };
  }
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(header);
  const [, first = "", last = "", of = ""] = match ?? [];
  const offset = Number(first);
  const size = Number(last) - offset + 1;
  const total = of === "*" ? null : Number(of);
  const fits = total === null || Number(last) < total;
  if (match === null || size <= 0 || !fits || (length !== null && length !== size)) {
    throw new HoldfastError(
      "INVALID_REQUEST",
      `Content-Range must be bytes first-last/total and as long as the body: got ${JSON.stringify(header.slice(0, 80))}`,
      { field: "Content-Range" },
    );
  }
  return { offset, total, kind: "part" };
}

/** Throws CONTENT_NOT_READY, CONTENT_GONE, TASK_NOT_FOUND. */
function assertStored(row: TaskRow): TaskRow & { readonly blobKey: string } {
  if (row.kind !== "upload")
    throw new HoldfastError("TASK_NOT_FOUND", `task ${row.id} is no upload: it has no content`);
  if (row.status === "pending" || row.status === "uploading") {
    throw new HoldfastError(
      "CONTENT_NOT_READY",
      `upload ${row.id} has ${row.done} of ${row.total ?? "its"} bytes; its content can be read when all are stored`,
    );
  }
  if (row.blobKey === null || row.status === "failed" || row.status === "cancelled") {
    throw new HoldfastError("CONTENT_GONE", `the content of upload ${row.id} was removed`);
  }
  return { ...row, blobKey: row.blobKey };
}

/** [rfc9110 §14.2] Range is for GET alone; one that is malformed or of several parts is ignored; one that can't be satisfied is refused. */
function readRange(request: FastifyRequest, reply: FastifyReply, size: number): Range | undefined {
  if (request.method !== "GET") return undefined;
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(request.headers.range ?? "");
  const [, first = "", last = ""] = match ?? [];
  if (match === null || (first === "" && last === "")) return undefined;
  const start = first === "" ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === "" || last === "" ? size : Math.min(size, Number(last) + 1);
  if (first !== "" && last !== "" && Number(last) < Number(first)) return undefined;
  if (start < end) return { start, end };
  void reply.header("Content-Range", `bytes */${size}`);
  throw new HoldfastError(
    "RANGE_NOT_SATISFIABLE",
    `the range begins at ${start}, the content has ${size} bytes`,
    {
      field: "Range",
    },
  );
}

/** [rfc6266] the name as UTF-8, and what ASCII leaves of it for old clients. */
function toDisposition(filename: string): string {
  const ascii = filename.replaceAll(/[^\x20-\x7e]|["\\%]/g, "_");
  const encoded = encodeURIComponent(filename.replaceAll(/\p{Surrogate}/gu, "_")).replaceAll(
    /['()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}
