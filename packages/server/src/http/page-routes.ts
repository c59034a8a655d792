import fastifyStatic from "@fastify/static";
import type { FastifyInstance } from "fastify";

// `style-src` names no inline styles: the page sets widths through the DOM, which the policy does not concern.
const PAGE_HEADERS: { readonly [name: string]: string } = {
  "Content-Security-Policy":
    "default-src 'self'; connect-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "X-Frame-Options": "DENY",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  "Cross-Origin-Opener-Policy": "same-origin",
};

const HASHED = /[.-][A-Za-z0-9_-]{8,}\.[a-z0-9]+$/;

/**
 * The built page at the base path. Its files are looked up once, at start: nothing outside them can be asked for.
 * What has a hash in its name never changes; the rest is asked for again each time.
 */
export async function addPageRoutes(app: FastifyInstance, pageDir: string): Promise<void> {
  app.addHook("onRoute", (route) => {
    route.config = { ...route.config, open: true };
    route.schema = { ...route.schema, hide: true };
  });
  await app.register(fastifyStatic, {
    root: pageDir,
    wildcard: false,
    index: "index.html",
    cacheControl: false,
    setHeaders: (reply, path) => {
      for (const [name, value] of Object.entries(PAGE_HEADERS)) void reply.header(name, value);
      const cache = HASHED.test(path) ? "public, max-age=31536000, immutable" : "no-cache";
      void reply.header("Cache-Control", cache);
    },
  });
}
