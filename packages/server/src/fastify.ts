/**
 * Holdfast inside a Fastify application: `await app.register(holdfastPlugin, { holdfast })`.
 *
 * The plugin hands requests over whole instead of registering every route again: the service keeps its own schemas, parsers and
 * errors whatever the host has set, the host's hooks (say, a login) still run first, and nothing of the host's is touched.
 * Below a `basePath` everything is the service's; without one only `/api/v1` is, since `/healthz` and `/` may be the host's.
 * When the host closes, streams are drained before it stops listening.
 */
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from "fastify";
import type { Holdfast } from "./holdfast.js";

export interface HoldfastPluginOptions {
  readonly holdfast: Holdfast;
}

export const holdfastPlugin: FastifyPluginAsync<HoldfastPluginOptions> = async (app, { holdfast }) => {
  const { basePath } = holdfast.settings;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", (_request, _payload, done) => done(null)); // bodies are left unread
  const handOver = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    reply.hijack();
    holdfast.handler(request.raw, reply.raw);
    return reply;
  };
  const options = { schema: { hide: true }, exposeHeadRoute: false };
  app.all(`${basePath === "" ? "/api/v1" : basePath}/*`, options, handOver);
  app.addHook("preClose", async () => await holdfast.close());
};
