/**
 * The measure of ingest: the least that a Node server can do with a body, `request.pipe(createWriteStream)`, and an answer.
 */
import { createWriteStream } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream";

const [, , directory = "."] = process.argv;
let files = 0;

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  files += 1;
  const file = createWriteStream(join(directory, `raw-${files}.bin`));
  pipeline(request, file, (error) => {
    response.statusCode = error === undefined || error === null ? 201 : 500;
    response.end();
  });
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") console.log(`http://127.0.0.1:${address.port}`);
});
process.once("SIGTERM", () => process.exit(0));
