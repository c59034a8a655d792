/**
 * `/tasks/{id}/deliveries`: which connections were sent the ending, and when. [wire: deliveries]
 */
import type { FastifyInstance } from "fastify";
import { toTaskId, type IdParams, type RouteContext } from "./route-context.js";

export function addDeliveryRoutes(app: FastifyInstance, { tasks, deliveries }: RouteContext): void {
  app.get<{ Params: IdParams }>(
    "/tasks/:id/deliveries",
    { schema: { summary: "Which connections were sent the task's ending, and when" } },
    async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("produce", { taskId: id });
      const { status } = await tasks.read(id);
      return await reply.send({ taskId: id, status, ...(await deliveries.read(id)) });
    },
  );
}
