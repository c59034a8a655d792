// An Express application that shows the progress of its own jobs. After `npm run build`: node examples/express-host.mjs
import { setTimeout } from "node:timers/promises";
import { createHoldfast } from "@holdfast/server";
import express from "express";

export const holdfast = await createHoldfast({ basePath: "/live", dataDir: process.env.DATA_DIR });
const app = express().use(holdfast.handler);

app.post("/reports", async (_request, response) => {
  const job = await holdfast.tasks.create({ title: "Yearly report", total: 12, unit: "months" });
  void makeReport(job); // should this process die, the task ends as PRODUCER_LOST by itself
  response.status(202).json((await holdfast.tasks.get(job.id)).links); // the page watches links.stream
});

async function makeReport(job) {
  for (let month = 1; month <= 12 && !job.cancelled.aborted; month += 1) {
    await setTimeout(50);
    job.progress(month);
  }
  if (!job.cancelled.aborted) await job.complete({ url: "/reports/2026.pdf" });
}
export const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
process.once("SIGTERM", () => void holdfast.close().then(() => server.close()));
