/**
 * `npm start [-- flags]`: from a fresh clone to a running server. Installs and builds where needed, then is `holdfast serve` itself, in this
 * process, so that signals and exit codes need no forwarding.
 */
import { requireNode } from "./node-version.mjs";

requireNode();
const { buildAll, installPackages } = await import("./prepare.mjs");
try {
  installPackages();
  buildAll();
} catch (error) {
  console.error(`holdfast: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
// Known only once it is built.
const entry = new URL("../packages/cli/dist/main.js", import.meta.url).href;
/** @type {typeof import("../packages/cli/src/main.js")} */
const { main } = await import(entry);
process.exit(await main(["serve", ...process.argv.slice(2)]));
