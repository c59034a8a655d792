// A Fastify application that shows the progress of its own jobs. After `npm run build`: node examples/fastify-host.mjs
import { setTimeout } from "node:timers/promises";
import { createHoldfast } from "@holdfast/server";
import { holdfastPlugin } from "@holdfast/server/fastify";
import Fastify from "fastify";

export const holdfast = await createHoldfast({ basePath: "/live", dataDir: process.env.DATA_DIR });
export const app = Fastify().register(holdfastPlugin, { holdfast }); // app.close() drains its streams first

app.post("/thumbnails", async (_request, reply) => {
  const job = await holdfast.tasks.create({ title: "Thumbnails", total: 4 });
  void makeThumbnails(job); // should this process die, the task ends as PRODUCER_LOST by itself
  return reply.code(202).send((await holdfast.tasks.get(job.id)).links); // the page watches links.stream
});

async function makeThumbnails(job) {
  for (let done = 1; done <= 4 && !job.cancelled.aborted; done += 1) {
    await setTimeout(80);
    job.progress(done);
  }
  if (!job.cancelled.aborted) await job.complete({ count: 4 });
}
await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" });
process.once("SIGTERM", () => void app.close());
