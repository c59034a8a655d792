import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { LocalServer } from "./node-local-server.test.kit.js";
import { task, taskId } from "./task.test.kit.js";

export interface StoredUpload {
  readonly metadata: { readonly [key: string]: string };
  length: number | null;
  bytes: Buffer;
  cancelled: boolean;
}

/** Answers in place of the server when it returns true. */
export type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

/** tus 1.0.0 in memory, enough of it for a client, with a place to break it. */
export class TusServer {
  readonly uploads: Map<string, StoredUpload> = new Map();
  /** `METHOD path` of every request. */
  readonly log: string[] = [];
  fault: Fault = () => false;
  /** Runs once the first bytes of a PATCH are stored. */
  onBytes: (request: IncomingMessage) => void = () => undefined;
  #local: LocalServer | undefined;

  async start(): Promise<string> {
    this.#local = await LocalServer.start((request, response) => this.#answer(request, response));
    return `${this.#local.url}/api/v1`;
  }

  async stop(): Promise<void> {
    await this.#local?.stop();
  }

  get only(): StoredUpload {
    const [upload, ...others] = this.uploads.values();
    if (upload === undefined || others.length > 0)
      throw new Error(`${this.uploads.size} uploads, expected one`);
    return upload;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "").replace("/api/v1", "");
    this.log.push(`${request.method} ${path}`);
    if (this.fault(request, response)) return;
    const id = path.split("/")[2] ?? "";
    const upload = this.uploads.get(id);
    if (request.method === "POST") this.#create(request, response);
    else if (upload === undefined)
      end(response, 404, { "Content-Type": "application/problem+json" }, { code: "TASK_NOT_FOUND" });
    else if (request.method === "GET") {
      const ended = upload.bytes.length === upload.length;
      const status = upload.cancelled ? "cancelled" : ended ? "completed" : "uploading";
      const endedAt = status === "uploading" ? null : 9;
      end(response, 200, { "Content-Type": "application/json" }, task({ id: taskId(id), status, endedAt }));
    } else if (request.method === "DELETE") {
      upload.cancelled = true;
      end(response, 204);
    } else if (upload.cancelled) end(response, 410);
    else if (request.method === "HEAD") {
      const length = upload.length === null ? {} : { "Upload-Length": upload.length };
      end(response, 200, { "Upload-Offset": upload.bytes.length, ...length });
    } else this.#patch(request, response, upload);
  }

  #create(request: IncomingMessage, response: ServerResponse): void {
    const header = request.headers["upload-metadata"];
    const metadata = Object.fromEntries(
      (typeof header === "string" ? header.split(",") : []).map((pair) => {
        const [key = "", value = ""] = pair.split(" ");
        return [key, Buffer.from(value, "base64").toString()];
      }),
    );
    const id = metadata["taskId"] ?? randomUUID();
    if (this.uploads.has(id)) {
      end(response, 409, { "Content-Type": "application/problem+json" }, { code: "ID_TAKEN" });
      return;
    }
    const length = request.headers["upload-length"];
    const created: StoredUpload = {
      metadata,
      length: length === undefined ? null : Number(length),
      bytes: Buffer.alloc(0),
      cancelled: false,
    };
    this.uploads.set(id, created);
    const location = { Location: `/api/v1/uploads/${id}` };
    if (request.headers["content-type"] !== "application/offset+octet-stream") {
      if (!response.destroyed) end(response, 201, location);
      return;
    }
    this.#receive(request, created, () =>
      end(response, 201, { ...location, "Upload-Offset": created.bytes.length }),
    );
  }

  #patch(request: IncomingMessage, response: ServerResponse, upload: StoredUpload): void {
    if (Number(request.headers["upload-offset"]) !== upload.bytes.length) {
      end(response, 409);
      return;
    }
    const length = request.headers["upload-length"];
    if (length !== undefined) upload.length = Number(length);
    this.#receive(request, upload, () => end(response, 204, { "Upload-Offset": upload.bytes.length }));
  }

  #receive(request: IncomingMessage, upload: StoredUpload, done: () => void): void {
    request.on("data", (chunk: Buffer) => {
      upload.bytes = Buffer.concat([upload.bytes, chunk]);
      this.onBytes(request);
    });
    request.on("end", done);
  }
}

function end(
  response: ServerResponse,
  status: number,
  headers: { readonly [name: string]: string | number } = {},
  body?: object,
): void {
  response.writeHead(status, { "Tus-Resumable": "1.0.0", ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}
