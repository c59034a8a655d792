import { fileURLToPath } from "node:url";
import { build, type Rolldown } from "vite";

/** Cases and strict class as one classic script, for pages and workers. It defines `runSuite`. */
export async function bundleSuite(): Promise<string> {
  const built = (await build({
    configFile: false,
    logLevel: "error",
    build: {
      write: false,
      minify: true,
      lib: {
        entry: fileURLToPath(new URL("suite-entry.ts", import.meta.url)),
        formats: ["iife"],
        name: "suite",
      },
    },
  })) as Rolldown.RolldownOutput[];
  const [chunk] = built[0]?.output ?? [];
  if (chunk === undefined) throw new Error("the suite was not bundled");
  return chunk.code;
}
