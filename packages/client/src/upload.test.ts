import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SYSTEM_ENVIRONMENT } from "./environment.js";
import { TusServer } from "./node-tus-server.test.kit.js";
import { INTERNALS } from "./stream-options.js";
import {
  upload,
  type UploadHandle,
  type UploadOptions,
  type UploadState,
  type UploadStorage,
} from "./upload.js";

let server: TusServer;
let baseUrl: string;
beforeEach(async () => {
  server = new TusServer();
  baseUrl = await server.start();
});
afterEach(() => server.stop());

const bytes = randomBytes(300_000);

function send(options: UploadOptions = {}, file: Parameters<typeof upload>[0] = bytes): UploadHandle {
  const environment = { ...SYSTEM_ENVIRONMENT, random: () => 0 };
  return upload(file, { baseUrl, ...options, [INTERNALS]: { environment } });
}

function reached(handle: UploadHandle, ...states: readonly UploadState[]): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => void (states.includes(handle.state) && resolve());
    handle.subscribe(look);
    look();
  });
}

type Previous = Awaited<ReturnType<UploadStorage["findUploadsByFingerprint"]>>[number];

function memoryStorage(): UploadStorage & { readonly kept: Map<string, Previous & { fingerprint: string }> } {
  const kept = new Map<string, Previous & { fingerprint: string }>();
  return {
    kept,
    findUploadsByFingerprint: (fingerprint) =>
      Promise.resolve([...kept.values()].filter((entry) => entry.fingerprint === fingerprint)),
    addUpload(fingerprint, entry) {
      const urlStorageKey = `${fingerprint}::${kept.size}`;
      kept.set(urlStorageKey, { ...entry, urlStorageKey, fingerprint });
      return Promise.resolve(urlStorageKey);
    },
    removeUpload(key) {
      kept.delete(key);
      return Promise.resolve();
    },
  };
}

describe("sending", () => {
  test("every byte arrives, with the metadata, and done resolves with the task", async () => {
    const states: UploadState[] = [];
    const handle = send({ filename: "a b.bin", filetype: "x/y", batchId: "b1", metadata: { note: "进度" } });
    handle.subscribe(() => void (states.at(-1) !== handle.state && states.push(handle.state)));
    const id = await handle.id;
    expect(await handle.done).toMatchObject({ id, status: "completed" });
    expect(server.only.bytes.equals(bytes)).toBe(true);
    expect(server.only.metadata).toEqual({
      filename: "a b.bin",
      filetype: "x/y",
      batchId: "b1",
      note: "进度",
      taskId: id,
    });
    expect(states).toEqual(["sending", "sent", "done"]);
    expect([handle.sent, handle.total]).toEqual([bytes.length, bytes.length]);
  });

  test("a file of no bytes is done with its creation", async () => {
    expect(await send({}, Buffer.alloc(0)).done).toMatchObject({ status: "completed" });
  });

  test("chunkSize bounds each request", async () => {
    await send({ chunkSize: 100_000 }).done;
    expect(server.log.filter((line) => line.startsWith("PATCH"))).toHaveLength(3);
  });

  test("a file on disk is read by its path", async () => {
    const folder = await mkdtemp(join(tmpdir(), "holdfast-client-"));
    try {
      await writeFile(join(folder, "file"), bytes);
      await send({}, createReadStream(join(folder, "file"))).done;
      expect(server.only.bytes.equals(bytes)).toBe(true);
      expect(server.only.length).toBe(bytes.length);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test("a file that is not there fails by name", async () => {
    const stream = createReadStream("/nowhere/at/all");
    stream.on("error", () => undefined);
    await expect(send({}, stream).done).rejects.toMatchObject({ code: "UNREADABLE_FILE" });
  });

  test("a stream of unknown length defers it", async () => {
    await send({}, Readable.from([bytes.subarray(0, 1000), bytes.subarray(1000)])).done;
    expect(server.only.bytes.equals(bytes)).toBe(true);
  });

  test("an id may be named, and options misspelt are refused", async () => {
    expect(await send({ taskId: "mine" }).id).toBe("mine");
    const misspelt: object = { baseUrl, chunksize: 5 };
    expect(() => upload(bytes, misspelt)).toThrow(expect.objectContaining({ code: "UNKNOWN_OPTION" }));
    expect(() => send({ metadata: { taskId: "x" } })).toThrow(
      expect.objectContaining({ code: "INVALID_OPTION" }),
    );
  });
});

describe("broken connections", () => {
  test("a cut in mid-upload goes on from what is stored", async () => {
    let cuts = 0;
    server.onBytes = ({ socket }) => {
      if (cuts++ === 0) socket.destroy();
    };
    await send().done;
    expect(server.only.bytes.equals(bytes)).toBe(true);
    expect(server.log.map((line) => line.split(" ")[0])).toEqual(["POST", "PATCH", "HEAD", "PATCH", "GET"]);
  });

  test("a creation whose answer was lost is gone on with, not made twice", async () => {
    server.fault = ({ method, socket }, response) => {
      if (method !== "POST") return false;
      server.fault = () => false;
      // Created, and then nobody hears of it.
      response.end = () => {
        socket.destroy();
        return response;
      };
      return false;
    };
    const handle = send();
    await handle.done;
    expect(server.only.bytes.equals(bytes)).toBe(true);
    expect(server.log.map((line) => line.split(" ")[0])).toEqual(["POST", "POST", "HEAD", "PATCH", "GET"]);
  });

  test("an id that was taken before is refused, not written into", async () => {
    await send({ taskId: "mine" }, Buffer.from("first")).done;
    await expect(send({ taskId: "mine" }).done).rejects.toMatchObject({
      status: 409,
      problem: { code: "ID_TAKEN" },
    });
    expect(server.only.bytes.toString()).toBe("first");
  });

  test("an id taken by another upload is not adopted after a lost answer either", async () => {
    await send({ taskId: "mine" }, Buffer.from("first")).done;
    server.fault = ({ method, socket }) => {
      if (method !== "POST") return false;
      server.fault = () => false;
      socket.destroy();
      return true;
    };
    await expect(send({ taskId: "mine" }).id).rejects.toMatchObject({ status: 409 });
    expect(server.only.bytes.toString()).toBe("first");
  });

  test.each([423, 429, 500, 503])("%i is waited out", async (code) => {
    server.fault = ({ method }, response) => {
      if (method !== "PATCH") return false;
      server.fault = () => false;
      response.writeHead(code).end();
      return true;
    };
    const handle = send();
    const retries: (number | undefined)[] = [];
    handle.subscribe(() => void (handle.retry !== null && retries.push(handle.retry.error.status)));
    await handle.done;
    expect(retries).toContain(code);
    expect(server.only.bytes.equals(bytes)).toBe(true);
  });

  test("413 is final and carries the problem document", async () => {
    server.fault = (_request, response) => {
      response.writeHead(413, { "Content-Type": "application/problem+json" });
      response.end(JSON.stringify({ code: "UPLOAD_TOO_LARGE", detail: "bound 5" }));
      return true;
    };
    const handle = send();
    await expect(handle.id).rejects.toMatchObject({ status: 413, problem: { code: "UPLOAD_TOO_LARGE" } });
    expect(handle.state).toBe("failed");
    expect(server.log).toHaveLength(1);
  });

  test("401 is met once with fresh headers", async () => {
    let token = 0;
    server.fault = ({ headers }, response) => {
      if (headers.authorization !== "Bearer 1") return false;
      response.writeHead(401).end();
      return true;
    };
    await send({ headers: () => ({ Authorization: `Bearer ${++token}` }) }).done;
    expect(server.log.slice(0, 2)).toEqual(["POST /uploads", "POST /uploads"]);
  });

  test("maxRetries is kept, and the failure says what it was", async () => {
    server.fault = (_request, response) => {
      response.writeHead(503).end();
      return true;
    };
    await expect(send({ maxRetries: 2 }).done).rejects.toMatchObject({
      code: "RETRIES_EXHAUSTED",
      status: 503,
    });
    expect(server.log).toHaveLength(3);
  });
});

describe("small files", () => {
  const small = randomBytes(2000);

  test("go along with their creation: two requests from the file to the ended task", async () => {
    const handle = send({}, small);
    expect(await handle.done).toMatchObject({ status: "completed" });
    expect(server.only.bytes.equals(small)).toBe(true);
    expect(server.log.map((line) => line.split(" ")[0])).toEqual(["POST", "GET"]);
    expect(handle.sent).toBe(2000);
  });

  test.each([0, 700, 2000])(
    "a creation that was cut after %i of their bytes is gone on with",
    async (kept) => {
      server.fault = ({ method, socket }, response) => {
        if (method !== "POST") return false;
        server.fault = () => false;
        server.onBytes = () => {
          server.onBytes = () => undefined;
          server.only.bytes = small.subarray(0, kept);
        };
        response.writeHead = () => {
          socket.destroy();
          return response;
        };
        return false;
      };
      await send({}, small).done;
      expect(server.only.bytes.equals(small)).toBe(true);
      expect(server.log.slice(0, 3).map((line) => line.split(" ")[0])).toEqual(["POST", "POST", "HEAD"]);
    },
  );

  test("under an id that others may name too they are created empty", async () => {
    await send({ taskId: "mine" }, small).done;
    expect(server.log.map((line) => line.split(" ")[0])).toEqual(["POST", "PATCH", "GET"]);
  });
});

describe("a way that takes no large bodies", () => {
  const large = randomBytes(6_000_000);
  const patches = (): number => server.log.filter((line) => line.startsWith("PATCH")).length;

  test("a 413 that is not our server's makes the requests smaller until they pass", async () => {
    server.fault = ({ method, headers }, response) => {
      if (method !== "PATCH" || Number(headers["content-length"]) <= 1_048_576) return false;
      response.writeHead(413, { "Content-Type": "text/html", Connection: "close" }).end("<h1>413");
      return true;
    };
    const handle = send({}, large);
    const retries: unknown[] = [];
    handle.subscribe(() => void (handle.retry !== null && retries.push(handle.retry)));
    await handle.done;
    expect(server.only.bytes.equals(large)).toBe(true);
    // 6 MB and 3 and 1.5 were refused, eight of 0.75 passed; none of it was a failure to wait for.
    expect(patches()).toBe(3 + 8);
    expect(retries).toEqual([]);
  });

  test("refused at any size, the refusal stands", async () => {
    server.fault = ({ method }, response) => {
      if (method !== "PATCH") return false;
      response.writeHead(413, { Connection: "close" }).end();
      return true;
    };
    await expect(send({}, large).done).rejects.toMatchObject({ code: "HTTP_STATUS", status: 413 });
  });

  test("bodies that are swallowed and cut, with nothing stored, get smaller after the second", async () => {
    server.fault = ({ method, headers, socket }) => {
      if (method !== "PATCH" || Number(headers["content-length"]) <= 2_000_000) return false;
      socket.destroy();
      return true;
    };
    await send({}, large).done;
    expect(server.only.bytes.equals(large)).toBe(true);
    // 6 MB twice, 3 once, four of 1.5.
    expect(patches()).toBe(3 + 4);
  });
});

describe("pause, resume, cancel", () => {
  test("a paused upload goes on where it stopped", async () => {
    const handle = send();
    server.onBytes = () => {
      server.onBytes = () => undefined;
      handle.pause();
    };
    await reached(handle, "paused");
    handle.resume();
    await handle.done;
    expect(server.only.bytes.equals(bytes)).toBe(true);
  });

  test("an attempt that is paused before its request leaves sends nothing", async () => {
    let asked = 0;
    const handle = send({
      headers() {
        if (++asked === 1) handle.pause();
        return {};
      },
    });
    await reached(handle, "paused");
    handle.resume();
    await handle.done;
    expect(server.log.filter((line) => line.startsWith("POST"))).toHaveLength(1);
  });

  test("cancel ends it on the server", async () => {
    const handle = send();
    const id = await handle.id;
    await handle.cancel();
    expect(handle.state).toBe("cancelled");
    expect(server.only.cancelled).toBe(true);
    expect(server.log).toContain(`DELETE /uploads/${id}`);
    await expect(handle.done).rejects.toMatchObject({ code: "CANCELLED" });
  });

  test("the signal cancels, and one aborted before sends nothing", async () => {
    const handle = send({ signal: AbortSignal.abort() });
    await expect(handle.id).rejects.toMatchObject({ code: "CANCELLED" });
    expect(server.log).toEqual([]);
  });

  test("cancelled by somebody else, it says so", async () => {
    const handle = send({ chunkSize: 100_000 });
    server.onBytes = () => {
      server.only.cancelled = true;
    };
    await reached(handle, "cancelled", "failed");
    expect(handle.state).toBe("cancelled");
  });
});

describe("after a reload", () => {
  test("the same file to the same batch goes on where it stopped", async () => {
    const storage = memoryStorage();
    const before = send({ storage, batchId: "b1" });
    server.onBytes = () => before.pause();
    await reached(before, "paused");
    server.onBytes = () => undefined;
    await expect.poll(() => storage.kept.size).toBe(1);
    // Another page: the module remembers nothing.
    vi.resetModules();
    const reloaded = await import("./upload.js");
    const after = reloaded.upload(bytes, { baseUrl, storage, batchId: "b1" });
    await after.done;
    expect(after.resumed).toBe(true);
    expect(server.only.bytes.equals(bytes)).toBe(true);
    expect(storage.kept.size).toBe(0);
  });

  test("what the server has no more begins anew", async () => {
    const storage = memoryStorage();
    const first = send({ storage });
    await first.id;
    first.pause();
    await expect.poll(() => storage.kept.size).toBe(1);
    const [entry] = storage.kept.values();
    storage.kept.clear();
    if (entry !== undefined) {
      storage.kept.set("k", { ...entry, urlStorageKey: "k", uploadUrl: `${baseUrl}/uploads/gone` });
    }
    server.uploads.clear();
    const handle = send({ storage });
    await handle.done;
    expect(handle.resumed).toBe(false);
    expect(server.only.bytes.equals(bytes)).toBe(true);
  });
});
