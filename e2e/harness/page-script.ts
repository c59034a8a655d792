/** Bundles a module, given as text, with the built packages that it imports: one classic script for a page. */
import { join } from "node:path";
import { build, type Rolldown } from "vite";

// Never written; where it lies decides which packages it finds.
const ENTRY = join(import.meta.dirname, "entry-of-a-page.js");

export async function buildPageScript(source: string): Promise<string> {
  const built = (await build({
    configFile: false,
    logLevel: "error",
    // React's StrictMode does what it is for in development alone.
    define: { "process.env.NODE_ENV": JSON.stringify("development") },
    plugins: [
      {
        name: "entry-of-a-page",
        enforce: "pre",
        resolveId: (id) => (id === ENTRY ? id : undefined),
        load: (id) => (id === ENTRY ? source : undefined),
      },
    ],
    build: { write: false, minify: false, rolldownOptions: { input: ENTRY, output: { format: "iife" } } },
  })) as Rolldown.RolldownOutput;
  return built.output[0].code;
}
