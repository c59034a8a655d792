/**
 * Reads JSON and NDJSON bodies: bounded in bytes and in time, strict in UTF-8, and aware of a host that has read them already.
 *
 * Refuses with BODY_TOO_LARGE beyond the bound, INVALID_REQUEST for what is no JSON or comes too slowly. Bytes of uploads never
 * come here. Called by: Fastify, as content-type parser.
 */
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.js";

// A report of 64 KiB many times over; more than that is an upload in disguise.
const MAX_JSON_BYTES = 1_048_576;

const MAX_DEPTH = 64;

/** Lines of an NDJSON body, still to be checked one by one. */
export class NdjsonLines {
  readonly values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.values = values;
  }
}

/** Registers the parsers on a scope; its other content types are refused with 415. */
export function addJsonParsers(app: FastifyInstance, readTimeoutMs: number): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", async (request: FastifyRequest, payload: IncomingMessage) => {
    const parsed = parsedByHost(request.raw);
    return typeof parsed === "object" && parsed !== null
      ? parsed
      : parseJson(typeof parsed === "string" ? parsed : await readText(payload, readTimeoutMs), "the body");
  });
  app.addContentTypeParser(
    "application/x-ndjson",
    async (request: FastifyRequest, payload: IncomingMessage) => {
      const parsed = parsedByHost(request.raw);
      const text = typeof parsed === "string" ? parsed : await readText(payload, readTimeoutMs);
      const values: unknown[] = [];
      let number = 0;
      for (const line of text.split(/\r?\n/)) {
        number += 1;
        if (line.trim() !== "") values.push(parseJson(line, `line ${number}`));
      }
      return new NdjsonLines(values);
    },
  );
}

/** What `express.json()` or its like made of the body before us: then the stream is spent and would never end. */
function parsedByHost(request: IncomingMessage): unknown {
  return request.readableEnded ? (request as { body?: unknown }).body : undefined;
}

async function readText(payload: IncomingMessage, timeoutMs: number): Promise<string> {
  if (Number(payload.headers["content-length"] ?? 0) > MAX_JSON_BYTES) throw tooLarge();
  const bytes = await readBytes(payload, timeoutMs);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new HoldfastError("INVALID_REQUEST", "the body is not valid UTF-8", { cause });
  }
}

/** By events and not by iteration: leaving a loop early destroys the stream, and with it the socket that has to carry the refusal. */
async function readBytes(payload: IncomingMessage, timeoutMs: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  return await new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      payload.off("data", take).off("end", settle).off("error", cut).off("close", cut);
      if (error === undefined) return resolve(Buffer.concat(chunks));
      payload.on("error", () => undefined); // the request is answered; a late error of its stream tells nothing more
      payload.resume(); // what still comes is dropped, so that the answer gets through
      reject(error);
    };
    const take = (chunk: Buffer): void => {
      bytes += chunk.byteLength;
      if (bytes > MAX_JSON_BYTES) settle(tooLarge());
      else chunks.push(chunk);
    };
    // A request's stream knows no other error than that its peer has gone.
    const cut = (cause?: Error): void =>
      settle(new HoldfastError("INVALID_REQUEST", "the client left before its body had ended", { cause }));
    // One deadline for the whole body: a megabyte that trickles in byte by byte is an attack, not a slow link.
    const timer = setTimeout(() => {
      settle(
        new HoldfastError("INVALID_REQUEST", `the body did not arrive within ${timeoutMs} ms (read-timeout)`),
      );
    }, timeoutMs);
    payload.on("data", take).on("end", settle).on("error", cut).on("close", cut);
  });
}

function tooLarge(): HoldfastError {
  return new HoldfastError(
    "BODY_TOO_LARGE",
    `the body is larger than a JSON body may be: bound ${MAX_JSON_BYTES} bytes; send less at a time, and files as uploads`,
  );
}

/** What is nested without bound is parsed without trouble, and overflows the stack of whoever writes it again. Throws INVALID_REQUEST. */
function assertDepth(text: string, what: string): void {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "[" || token === "{") depth += 1;
    else if (token === "]" || token === "}") depth -= 1;
    if (depth <= MAX_DEPTH) continue;
    throw new HoldfastError(
      "INVALID_REQUEST",
      `${what} is nested deeper than ${MAX_DEPTH} levels; send less deep JSON`,
    );
  }
}

function parseJson(text: string, what: string): unknown {
  // Clients that always name a type send it with nothing as well.
  if (text.trim() === "") return {};
  assertDepth(text, what);
  try {
    // `__proto__` as a key becomes a property of its own here and is refused as unknown, or kept as data; it never reaches a prototype.
    return JSON.parse(text);
  } catch (cause) {
    throw new HoldfastError("INVALID_REQUEST", `${what} is not valid JSON; send a JSON document`, { cause });
  }
}
