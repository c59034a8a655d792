/**
 * The cases of web-platform-tests, bundled, on any runtime: prints the outcomes as JSON.
 *
 * Usage: <runtime> web-platform.mjs <the bundle's file> <url of the page> <url of the resources elsewhere>
 */
import { readFileSync } from "node:fs";
import { argv } from "node:process";
import { runInThisContext } from "node:vm";

const [file = "", page = "", elsewhere = ""] = argv.slice(2);
// Deno has one already, which throws when it is read.
Object.defineProperty(globalThis, "location", { value: new URL(page), configurable: true });
runInThisContext(readFileSync(file, "utf8"));
const { runSuite } =
  /** @type {{ runSuite: (elsewhere: string, inBrowser: boolean) => Promise<unknown> }} */ (
    /** @type {unknown} */ (globalThis)
  );
console.log(JSON.stringify(await runSuite(elsewhere, false)));
