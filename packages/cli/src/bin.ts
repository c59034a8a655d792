import { main } from "./main.js";

// Exits by itself even if a handle were left open; stdout to a pipe or a file is written in place, so nothing is cut off.
process.exit(await main(process.argv.slice(2)));
