/**
 * `/tasks/{id}/control`: a producer asks whether it should stop, and may wait for it. [wire: control]
 */
import { onResponseClose } from "@holdfast/stream";
import type { FastifyInstance } from "fastify";
import { invalidField, toShown } from "./field-error.js";
import { toTaskId, type IdParams, type RouteContext } from "./route-context.js";
import type { JsonSchema } from "./schemas.js";

interface ControlParams {
  readonly wait?: unknown;
  readonly watchers?: unknown;
}

const STANDARD_WAIT_SECONDS = 25; // below the 30 s at which the most impatient proxies cut what is silent
const MAX_WAIT_SECONDS = 60;

/** For the document alone. */
const CONTROL_SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    wait: { type: "integer", minimum: 0, maximum: MAX_WAIT_SECONDS, default: STANDARD_WAIT_SECONDS },
    watchers: {
      type: "integer",
      minimum: 0,
      description: "Answer also when the number of watchers is another",
    },
  },
};

export function addControlRoutes(app: FastifyInstance, { controls }: RouteContext): void {
  app.get<{ Params: IdParams; Querystring: ControlParams }>(
    "/tasks/:id/control",
    {
      exposeHeadRoute: false,
      schema: {
        summary: "Wait until the task is cancelled or has otherwise ended; for its producer",
        querystring: CONTROL_SCHEMA,
      },
      validatorCompiler: () => () => true, // a query is text: read below
    },
    async (request, reply) => {
      const id = toTaskId(request.params.id);
      await request.authorize("produce", { taskId: id });
      const { wait, watchers } = request.query;
      const seconds =
        wait === undefined ? STANDARD_WAIT_SECONDS : toInteger("wait", wait, MAX_WAIT_SECONDS, " seconds");
      const gone = new AbortController();
      const forget = onResponseClose(reply.raw, () => gone.abort());
      try {
        const answer = await controls.ask(id, {
          waitMs: seconds * 1_000,
          watchers:
            watchers === undefined ? undefined : toInteger("watchers", watchers, Number.MAX_SAFE_INTEGER, ""),
          gone: gone.signal,
        });
        return await reply.send(answer);
      } finally {
        forget();
      }
    },
  );
}

function toInteger(field: string, value: unknown, max: number, unit: string): number {
  const number = typeof value === "string" && /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= 0 && number <= max) return number;
  throw invalidField(field, `must be an integer from 0 to ${max}${unit}: got ${toShown(value)}`);
}
