// A Fastify application that shows the progress of its own jobs. After `npm run build`: node examples/fastify-host.mjs
import { setInterval } from "node:timers/promises";
import { createHoldfast } from "@holdfast/server";
import { holdfastPlugin } from "@holdfast/server/fastify";
import Fastify from "fastify";

export const holdfast = await createHoldfast({ basePath: "/live", dataDir: process.env.DATA_DIR });
export const app = Fastify();
await app.register(holdfastPlugin, { holdfast }); // app.close() drains its streams first

app.post("/thumbnails", async (_request, reply) => {
  const job = await holdfast.tasks.create({ title: "Thumbnails", total: 4 });
  void makeThumbnails(job); // should this process die, the task ends as PRODUCER_LOST by itself
  return reply.code(202).send((await holdfast.tasks.get(job.id)).links); // the page watches links.stream
});

async function makeThumbnails(job) {
  await job.stage("resize");
  let done = 0;
  for await (const _ of setInterval(80)) {
    if (job.cancelled.aborted) return;
    job.progress((done += 1));
    if (done === 4) break;
  }
  await job.complete({ count: 4 });
}

await app.listen({ port: Number(process.env.PORT ?? 3000), host: "127.0.0.1" });
process.once("SIGTERM", () => void app.close());
