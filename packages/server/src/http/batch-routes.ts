/**
 * `/batches`: named sets of tasks. Whoever may upload may make and close one.
 */
import { parseBatchId, type Json } from "@holdfast/protocol";
import type { FastifyInstance } from "fastify";
import { toBatchId, type IdParams, type RouteContext } from "./route-context.js";
import { HoldfastError } from "../errors.js";
import { NEW_BATCH_SCHEMA } from "./schemas.js";

interface NewBatchBody {
  readonly id?: string;
  readonly metadata?: { readonly [key: string]: Json };
}

export function addBatchRoutes(app: FastifyInstance, { batches }: RouteContext): void {
  app.post<{ Body: NewBatchBody | undefined }>(
    "/batches",
    { schema: { summary: "Create a batch", body: NEW_BATCH_SCHEMA } },
    async (request, reply) => {
      const { id, metadata = {} } = request.body ?? {};
      await request.authorize("upload", { batchId: id });
      const { batch, created } = await batches.create({ id: parseBatchId(id), metadata });
      if (!created) {
        throw new HoldfastError("ID_TAKEN", `id ${batch.batchId} names a batch that exists; choose another`, {
          field: "/id",
        });
      }
      return reply.code(201).header("Location", batch.links.self).send(batch);
    },
  );

  app.get<{ Params: IdParams }>(
    "/batches/:id",
    { schema: { summary: "Read a batch" } },
    async (request, reply) => {
      const id = toBatchId(request.params.id);
      await request.authorize("watch", { batchId: id });
      return reply.header("Cache-Control", "no-store").send(await batches.read(id));
    },
  );

  app.post<{ Params: IdParams }>(
    "/batches/:id/close",
    { schema: { summary: "Close a batch: no task can be added, and its streams end with its last task" } },
    async (request, reply) => {
      const id = toBatchId(request.params.id);
      await request.authorize("upload", { batchId: id });
      return await reply.send(await batches.close(id));
    },
  );
}
