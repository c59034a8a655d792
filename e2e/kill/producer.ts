/**
 * A producer that reports on a task until it has said the ending. Each report has a key of its own, so that it may be
 * sent again when its answer was lost, and counts once.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { World } from "./world.js";

const STEPS = 12;

export async function produceTask(world: World, id: string, batchId: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const created = await world.insistJson("/tasks", { id, title: id, total: STEPS, unit: "steps", batchId });
    if (created.httpStatus === 201 || (created.httpStatus === 409 && tries > 1)) break;
    if (created.httpStatus !== 409)
      return world.ledger.violation(`${id}: creation answers ${JSON.stringify(created)}`);
  }
  await work(world, id);
}

/** Also for an upload that waits in `processing`. */
export async function work(world: World, id: string): Promise<void> {
  await report(world, id, { type: "stage", data: { stage: "grind", phase: "begin" } });
  for (let step = 1; step <= STEPS; step += 1) {
    await report(world, id, { type: "progress", data: { done: step, total: STEPS } });
    await report(world, id, { type: "step.done", data: { step } });
    await pause(world.random.integer(5, 40));
  }
  await report(world, id, { type: "complete", data: { result: { steps: STEPS } } });
}

async function report(
  world: World,
  id: string,
  body: { readonly type: string; readonly data: object },
): Promise<void> {
  const key = `${id}-${body.type}-${JSON.stringify(body.data)}`.replaceAll(/[^A-Za-z0-9_-]/g, "_");
  const answer = await world.insistJson(`/tasks/${id}/events`, body, { "Idempotency-Key": key });
  if (answer.httpStatus !== 200)
    world.ledger.violation(`${id}: ${body.type} answers ${JSON.stringify(answer)}`);
}
