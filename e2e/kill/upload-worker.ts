/**
 * Clients that bring one upload home whatever happens to the server: by tus in chunks, by tus with the first bytes in the
 * creation, by PUT (and then tus), in one shot. Each knows nothing but what the wire says, and resumes at the server's offset.
 */
import type { ClientRequest } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import type { HttpAnswer, HttpCall } from "../harness/http-call.js";
import type { World } from "./world.js";

export type UploadKind =
  | "tus"
  | "tus-deferred"
  | "creation-with-upload"
  | "put"
  | "put-external"
  | "one-shot";

export interface Upload {
  readonly id: string;
  readonly kind: UploadKind;
  readonly bytes: Buffer;
  readonly batchId: string;
}

const TUS = { "Tus-Resumable": "1.0.0" };
const OFFSET_TYPE = "application/offset+octet-stream";
// Slow enough that kills hit in the middle: 1 MiB in about 100 ms.
const PIECE_BYTES = 32_768;
const MAX_PIECE_PAUSE_MS = 5;

/** Resolves when the server has said that the upload is whole; for a one-shot also when it was cut. */
export async function bringHome(world: World, upload: Upload): Promise<void> {
  switch (upload.kind) {
    case "tus":
      return await sendByTus(world, upload, { "Upload-Length": String(upload.bytes.length) });
    case "tus-deferred":
      return await sendByTus(world, upload, { "Upload-Defer-Length": "1" });
    case "creation-with-upload":
      return await sendWithCreation(world, upload);
    case "put":
    case "put-external":
      return await sendByPut(world, upload);
    case "one-shot":
      return await sendInOneShot(world, upload);
  }
}

async function sendByTus(world: World, upload: Upload, length: HttpCall["headers"]): Promise<void> {
  await insistOnCreation(world, upload, {
    method: "POST",
    headers: { ...TUS, ...length, "Upload-Metadata": metadataOf(upload), "Content-Length": "0" },
  });
  await sendRest(world, upload);
}

async function sendWithCreation(world: World, upload: Upload): Promise<void> {
  const first = upload.bytes.subarray(0, world.random.integer(1, upload.bytes.length));
  const floor = world.ledger.confirmed(upload.id);
  const answer = await insistOnCreation(world, upload, {
    method: "POST",
    headers: {
      ...TUS,
      "Upload-Length": String(upload.bytes.length),
      "Upload-Metadata": metadataOf(upload),
      "Content-Type": OFFSET_TYPE,
      "Content-Length": String(first.length),
    },
    body: slowly(world, first),
  });
  if (answer.status === 201)
    world.ledger.stored(upload.id, Number(answer.headers["upload-offset"]), floor, "creation-with-upload");
  await sendRest(world, upload);
}

async function sendByPut(world: World, upload: Upload): Promise<void> {
  await createByJson(world, upload);
  const floor = world.ledger.confirmed(upload.id);
  const answer = await world.try(`/uploads/${upload.id}/content`, {
    method: "PUT",
    headers: { "Content-Length": String(upload.bytes.length), "Content-Type": "application/octet-stream" },
    body: slowly(world, upload.bytes),
  });
  if (answer !== undefined && answer.status < 300) {
    world.ledger.stored(upload.id, upload.bytes.length, floor, "PUT");
    return;
  }
  if (answer !== undefined) unexpected(world, upload, "PUT", answer);
  await sendRest(world, upload);
}

async function sendInOneShot(world: World, upload: Upload): Promise<void> {
  await createByJson(world, upload);
  for (;;) {
    const answer = await world.try("/uploads", {
      method: "POST",
      headers: {
        "Content-Type": "application/octet-stream",
        "Content-Length": String(upload.bytes.length),
        "Upload-Task-Id": upload.id,
      },
      body: slowly(world, upload.bytes),
    });
    if (answer !== undefined && answer.status < 300) {
      const task = await world.untilTask(upload.id);
      if (task["status"] !== "completed")
        world.ledger.violation(
          `${upload.id}: a one-shot was answered ${answer.status} and is ${String(task["status"])}`,
        );
      return;
    }
    // It was cut: before its beginning was stored it is still pending and can be sent; after that it has failed, or was
    // whole and only the answer was lost. In between it must not stay.
    const task = await world.untilTask(upload.id, ({ status }) => status !== "uploading");
    if (task["status"] !== "pending") return;
  }
}

/** From wherever the server stands. */
async function sendRest(world: World, upload: Upload): Promise<void> {
  const { id, bytes } = upload;
  let offset: number | undefined;
  let undeclared = upload.kind === "tus-deferred";
  for (;;) {
    const floor = world.ledger.confirmed(id);
    if (offset === undefined) {
      const head = await world.try(`/uploads/${id}`, { method: "HEAD", headers: TUS });
      if (head === undefined) continue;
      if (head.status !== 200) {
        unexpected(world, upload, "HEAD", head);
        if (head.status !== 423) return;
        continue;
      }
      offset = Number(head.headers["upload-offset"]);
      world.ledger.stored(id, offset, floor, "HEAD");
      undeclared = head.headers["upload-length"] === undefined;
    }
    if (offset === bytes.length && !undeclared) return;
    const chunk = bytes.subarray(offset, offset + world.random.integer(PIECE_BYTES, 1_048_576));
    const patch = await world.try(`/uploads/${id}`, {
      method: "PATCH",
      headers: {
        ...TUS,
        "Upload-Offset": String(offset),
        "Content-Type": OFFSET_TYPE,
        "Content-Length": String(chunk.length),
        ...(undeclared && { "Upload-Length": String(bytes.length) }),
      },
      body: slowly(world, chunk),
    });
    offset = undefined;
    if (patch === undefined) continue;
    if (patch.status === 204) {
      offset = Number(patch.headers["upload-offset"]);
      undeclared = false;
      world.ledger.stored(id, offset, floor, "PATCH");
    } else if (patch.status !== 409 && patch.status !== 423) {
      // A request that the kill cut may still hold the lock for a moment, or have left other bytes than we thought: HEAD tells.
      unexpected(world, upload, "PATCH", patch);
    }
  }
}

async function createByJson(world: World, upload: Upload): Promise<void> {
  await insistOnCreation(world, upload, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      id: upload.id,
      filename: `${upload.id}.bin`,
      total: upload.bytes.length,
      batchId: upload.batchId,
      ...(upload.kind === "put-external" && { processing: "external" }),
    }),
  });
}

async function insistOnCreation(world: World, upload: Upload, call: HttpCall): Promise<HttpAnswer> {
  for (let tries = 1; ; tries += 1) {
    const answer = await world.try("/uploads", call);
    if (answer === undefined) continue;
    // Taken by ourselves: the answer to an earlier try was lost.
    if (answer.status === 201 || (answer.status === 409 && tries > 1)) return answer;
    unexpected(world, upload, "creation", answer);
    return answer;
  }
}

function metadataOf({ id, batchId }: Upload): string {
  const fields = { filename: `${id}.bin`, taskId: id, batchId };
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${Buffer.from(value).toString("base64")}`)
    .join(",");
}

function slowly(world: World, bytes: Buffer): (request: ClientRequest) => Promise<void> {
  return async (request) => {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      if (request.destroyed) return;
      if (!request.write(bytes.subarray(at, at + PIECE_BYTES))) await drained(request);
      const pauseMs = world.random.integer(0, MAX_PIECE_PAUSE_MS);
      if (pauseMs > 0) await pause(pauseMs);
    }
  };
}

async function drained(request: ClientRequest): Promise<void> {
  await new Promise<void>((resolve) => {
    const go = (): void => {
      request.off("drain", go);
      request.off("close", go);
      resolve();
    };
    request.on("drain", go);
    request.on("close", go);
  });
}

function unexpected(world: World, { id, kind }: Upload, what: string, answer: HttpAnswer): void {
  world.ledger.violation(
    `${id} (${kind}): ${what} answers ${answer.status} ${answer.body.toString().slice(0, 300)}`,
  );
}
