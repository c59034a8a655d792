import type { FastifyInstance } from "fastify";

/** Path pattern → methods, so that a wrong method is told from a wrong path. Fastify itself answers 404 to both. */
export class RouteTable {
  readonly #routes = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();

  /** Hears of every route registered on the instance from now on. */
  watch(app: FastifyInstance): void {
    app.addHook("onRoute", ({ url, method }) => {
      if (url.endsWith("*")) return; // CORS' own catch-all for OPTIONS says nothing about paths
      const route = this.#routes.get(url) ?? { matches: toPattern(url), methods: new Set() };
      for (const one of Array.isArray(method) ? method : [method]) route.methods.add(one);
      this.#routes.set(url, route);
    });
  }

  /** Methods that this path answers to, in order; empty when it is no path of ours. */
  methodsOf(path: string): readonly string[] {
    const methods = new Set<string>();
    for (const route of this.#routes.values()) {
      if (route.matches.test(path)) for (const method of route.methods) methods.add(method);
    }
    return [...methods].toSorted();
  }
}

function toPattern(url: string): RegExp {
  const parts = url
    .split("/")
    .map((part) => (part.startsWith(":") ? "[^/]+" : part.replaceAll(/[^\w-]/g, String.raw`\$&`)));
  return new RegExp(`^${parts.join("/").replace(/\/$/, "")}/?$`);
}
