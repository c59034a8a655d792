import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Directory of the built page; null when it was not built, which leaves a server without a page. */
export function findPageDir(): string | null {
  const manifest = createRequire(import.meta.url).resolve("@holdfast/web/package.json");
  const directory = join(dirname(manifest), "dist");
  return existsSync(join(directory, "index.html")) ? directory : null;
}
