import type { FastifyInstance } from "fastify";
import type { RouteContext } from "./route-context.js";

const OPEN = { config: { open: true } } as const;

/** What operators and their machines ask: alive, ready, how much, and what the API is. */
export function addOperationsRoutes(app: FastifyInstance, { metrics, draining, store }: RouteContext): void {
  app.get("/healthz", { ...OPEN, schema: { summary: "Alive" } }, async (_request, reply) =>
    reply.header("Cache-Control", "no-store").send({ status: "ok" }),
  );

  app.get("/readyz", { ...OPEN, schema: { summary: "Ready for requests" } }, async (_request, reply) => {
    void reply.header("Cache-Control", "no-store");
    if (draining()) return await reply.code(503).send({ status: "draining" });
    await store.newest(); // throws when the store is gone, which answers 503 or 500
    return await reply.send({ status: "ready" });
  });

  app.get("/metrics", { schema: { summary: "Prometheus metrics" } }, async (request, reply) => {
    await request.authorize("admin");
    return await reply.type(metrics.contentType).send(await metrics.read());
  });

  app.get(
    "/openapi.json",
    { ...OPEN, schema: { hide: true } },
    async (_request, reply) => await reply.send(app.swagger()),
  );
}
