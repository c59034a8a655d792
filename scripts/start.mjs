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
if (process.env["npm_lifecycle_event"] === "start") {
  // A SIGTERM sent to npm ends npm and the shell between, and never comes here: without this the server would go on, an orphan
  // that holds the port and the data directory.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, "SIGTERM");
  }, 250);
  watch.unref();
  for (const signal of ["SIGINT", "SIGTERM"]) {
    // Whoever was told already must not be told twice: a second signal ends the process in the middle of closing.
    process.once(signal, () => {
      clearInterval(watch);
      if (process.listenerCount(signal) === 0) process.exit(1);
    });
  }
}
// Known only once it is built.
const entry = new URL("../packages/cli/dist/main.js", import.meta.url).href;
/** @type {typeof import("../packages/cli/src/main.js")} */
const { main } = await import(entry);
process.exit(await main(["serve", ...process.argv.slice(2)]));
