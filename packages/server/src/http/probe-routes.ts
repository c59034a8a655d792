/**
 * `/probe/*`: what a server can tell a client of the way between them. Off unless asked for.
 *
 *   GET  /probe                 {timeMs}: this clock
 *   GET  /probe/streams/{id}    text/event-stream: `count` events `probe` {stream, sentAtMs}, one each `interval` ms, the first after `silent` ms;
 *                               as application/json: {open}, how many of that id are open
 *   POST /probe/uploads/{id}    counts the body's bytes as they come, and drops them
 *   GET  /probe/uploads/{id}    {bytes}: how many have come so far
 *
 * Promises: the streams carry the same headers as any stream of ours, so that proxies treat them alike; nothing is stored. Bounded: 32 at once,
 * 100 events, two minutes of silence, 8 MiB a body, forgotten a minute after their end. Refuses: what goes beyond (422, 413, 429).
 * Called by: door.ts. For: `holdfast doctor`.
 */
import { randomUUID } from "node:crypto";
import { STREAM_HEADERS } from "@holdfast/protocol";
import { encodeFrame } from "@holdfast/stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.js";
import { invalidField, toShown } from "./field-error.js";

const MAX_AT_ONCE = 32;
const MAX_BODY_BYTES = 8 * 1_048_576;
const KEPT_MS = 60_000;
const BOUNDS = {
  interval: { least: 50, most: 5_000, standard: 500 },
  count: { least: 1, most: 100, standard: 1 },
  silent: { least: 0, most: 120_000, standard: 0 },
} as const;

interface IdParams {
  readonly id: string;
}

type Query = { readonly [name: string]: unknown };

/** What is known of the probes of one id. */
interface Probe {
  open: number;
  bytes: number;
}

export function addProbeRoutes(app: FastifyInstance): void {
  const probes = new Map<string, Probe>();
  let open = 0;

  /** Counts one more until `close`; throws TOO_MANY_REQUESTS. */
  const begin = (id: string, reply: FastifyReply): Probe => {
    if (open >= MAX_AT_ONCE) {
      throw new HoldfastError(
        "TOO_MANY_REQUESTS",
        `${MAX_AT_ONCE} probes are open, which is as many as may be; wait for them to end`,
        { retryAfterSeconds: 10 },
      );
    }
    const probe = probes.get(id) ?? { open: 0, bytes: 0 };
    probes.set(id, probe);
    open += 1;
    probe.open += 1;
    reply.raw.once("close", () => {
      open -= 1;
      probe.open -= 1;
      setTimeout(() => {
        if (probe.open === 0) probes.delete(id);
      }, KEPT_MS).unref();
    });
    return probe;
  };

  // Read by hand: counted as it comes, and dropped.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null, undefined));

  const noStore = { "Cache-Control": "no-store, no-transform" } as const;
  app.get("/probe", { schema: { summary: "Probe: this clock" } }, async (request, reply) => {
    await request.authorize("watch");
    return await reply.headers(noStore).send({ timeMs: performance.timeOrigin + performance.now() });
  });

  app.get<{ Params: IdParams; Querystring: Query }>(
    "/probe/streams/:id",
    {
      config: { stream: true },
      exposeHeadRoute: false,
      schema: {
        summary: "Probe: events at known times",
        produces: ["text/event-stream", "application/json"],
        querystring: { type: "object" },
      },
    },
    async (request, reply) => {
      await request.authorize("watch");
      const { id } = request.params;
      if (!/event-stream/.test(request.headers.accept ?? "")) {
        return await reply.headers(noStore).send({ open: probes.get(id)?.open ?? 0 });
      }
      const [intervalMs, count, silentMs] = [
        toBounded(request.query, "interval"),
        toBounded(request.query, "count"),
        toBounded(request.query, "silent"),
      ];
      begin(id, reply);
      return sendEvents(reply, { intervalMs, count, silentMs });
    },
  );

  app.post<{ Params: IdParams }>(
    "/probe/uploads/:id",
    { schema: { summary: "Probe: count a body's bytes as they come" } },
    async (request, reply) => {
      await request.authorize("watch");
      const probe = begin(request.params.id, reply);
      await countBody(request, probe);
      return await reply.headers(noStore).send({ bytes: probe.bytes });
    },
  );

  app.get<{ Params: IdParams }>(
    "/probe/uploads/:id",
    { schema: { summary: "Probe: bytes of a body that have come" } },
    async (request, reply) => {
      await request.authorize("watch");
      return await reply.headers(noStore).send({ bytes: probes.get(request.params.id)?.bytes ?? 0 });
    },
  );
}

/** Not by the engine: what is measured is the way, and the first event must be able to come late. */
function sendEvents(
  reply: FastifyReply,
  {
    intervalMs,
    count,
    silentMs,
  }: { readonly intervalMs: number; readonly count: number; readonly silentMs: number },
): FastifyReply {
  const stream = randomUUID();
  const { raw } = reply.hijack();
  raw.writeHead(200, STREAM_HEADERS);
  raw.flushHeaders();
  let sent = 0;
  let timer: NodeJS.Timeout;
  const send = () => {
    const sentAtMs = performance.timeOrigin + performance.now();
    raw.write(encodeFrame({ event: "probe", data: JSON.stringify({ stream, sentAtMs }) }));
    sent += 1;
    if (sent === count) raw.end();
    else timer = setTimeout(send, intervalMs);
  };
  timer = setTimeout(send, silentMs);
  raw.once("close", () => clearTimeout(timer));
  return reply;
}

async function countBody({ raw }: FastifyRequest, probe: Probe): Promise<void> {
  // The answer to a body that is too large goes out on the same socket.
  for await (const chunk of raw.iterator({ destroyOnReturn: false })) {
    probe.bytes += (chunk as Buffer).byteLength;
    if (probe.bytes > MAX_BODY_BYTES) {
      throw new HoldfastError(
        "BODY_TOO_LARGE",
        `the body is larger than a probe's may be: bound ${MAX_BODY_BYTES} bytes; send less`,
      );
    }
  }
}

function toBounded(query: Query, name: keyof typeof BOUNDS): number {
  const { least, most, standard } = BOUNDS[name];
  const written = query[name];
  if (written === undefined) return standard;
  const value = typeof written === "string" && /^\d{1,6}$/.test(written) ? Number(written) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw invalidField(name, `must be ${least} to ${most}: got ${toShown(written)}`);
}
