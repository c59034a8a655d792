/**
 * Messages that can't be understood as they are meant, refused before anything looks at them: Node's own answers to some of them have no
 * body, and others it hands on as if it had decoded them.
 *
 * Promises: a problem document; where it is the framing that is not understood, the end of the connection too, since what follows on it may be
 * more of the same message.
 * Refuses: to know what a request is for. Called by: the door, before every other hook.
 */
import type { IncomingMessage } from "node:http";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { HoldfastError } from "../errors.js";

export function addMessageGuard(app: FastifyInstance): void {
  app.addHook("onRequest", async (request, reply) => {
    if (request.raw.httpVersionMajor === 1) assertFraming(request, reply);
    assertIdentity(request, reply);
  });
}

/** Throws INVALID_REQUEST, EXPECTATION_FAILED, TRANSFER_CODING. */
function assertFraming({ raw }: FastifyRequest, reply: FastifyReply): void {
  const refusal = findRefusal(raw);
  if (refusal === undefined) return;
  void reply.header("Connection", "close");
  throw refusal;
}

function findRefusal({ headers, rawHeaders, httpVersionMinor }: IncomingMessage): HoldfastError | undefined {
  // Of several, Node keeps the first and says nothing; names and values alternate.
  const hosts = rawHeaders.filter((text, i) => i % 2 === 0 && text.toLowerCase() === "host").length;
  // [rfc9112 §3.2] also of HTTP/1.0, where it may be missing.
  if (hosts > 1 || (headers.host === undefined && httpVersionMinor > 0)) {
    return new HoldfastError("INVALID_REQUEST", `a request has one Host: got ${hosts}`, { field: "Host" });
  }
  // [rfc9110 §10.1.1] nothing else is defined; Node has answered that by the time we are asked.
  const expected = toList(headers.expect).find((one) => one !== "100-continue");
  if (expected !== undefined) {
    return new HoldfastError(
      "EXPECTATION_FAILED",
      `no expectation but 100-continue can be met: got ${JSON.stringify(expected.slice(0, 80))}; leave it out`,
      { field: "Expect" },
    );
  }
  // [rfc9112 §6.1] to Node, `gzip, chunked` is chunked: the bytes would be taken for what they are a coding of.
  const coding = toList(headers["transfer-encoding"]).find((one) => one !== "chunked");
  if (coding !== undefined) {
    return new HoldfastError(
      "TRANSFER_CODING",
      `no transfer coding but chunked is understood: got ${JSON.stringify(coding.slice(0, 80))}; send the bytes as they are`,
      { field: "Transfer-Encoding" },
    );
  }
  return undefined;
}

/** [wire: as-they-come] Throws UNSUPPORTED_MEDIA_TYPE. A host that has read the body before us has undone the coding too. */
function assertIdentity({ raw }: FastifyRequest, reply: FastifyReply): void {
  const coding = toList(raw.headers["content-encoding"]).find((one) => one !== "identity");
  if (coding === undefined || raw.readableEnded) return;
  void reply.header("Accept-Encoding", "identity");
  throw new HoldfastError(
    "UNSUPPORTED_MEDIA_TYPE",
    `bodies are taken as they come, in no content coding: got ${JSON.stringify(coding.slice(0, 80))}, bound identity; ` +
      "send the bytes as they are, or a file that is itself compressed without Content-Encoding",
    { field: "Content-Encoding" },
  );
}

/** Members of a list-valued header in lower case. */
function toList(value = ""): readonly string[] {
  return value
    .toLowerCase()
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
}
