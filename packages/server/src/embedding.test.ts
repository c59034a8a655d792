import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Task } from "@holdfast/protocol";
import express from "express";
import Fastify, { type FastifyInstance } from "fastify";
import { afterEach, expect, test } from "vitest";
import { holdfastPlugin } from "./fastify.js";
import { createHoldfast, type Holdfast } from "./holdfast.js";
import { json } from "./http/served.test.kit.js";
import type { HoldfastOptions } from "./options.js";
import { MemoryStore } from "./stores/memory-store.js";

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) {
    await close();
  }
});

/** A directory that goes when all is closed. */
function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-host-"));
  closers.unshift(async () => rmSync(directory, { recursive: true }));
  return directory;
}

async function open(options: HoldfastOptions = {}): Promise<Holdfast> {
  const holdfast = await createHoldfast({ store: new MemoryStore(), drainWindowMs: 50, ...options });
  closers.push(async () => await holdfast.close());
  return holdfast;
}

async function listening(server: Server): Promise<string> {
  if (!server.listening)
    await new Promise((resolve) => void server.listen(0, "127.0.0.1", () => resolve(undefined)));
  closers.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => void server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("in Express, the service answers below its base path and everything else goes on", async () => {
  const holdfast = await open({ basePath: "/live" });
  const app = express();
  app.use(holdfast.handler);
  app.get("/healthz", (_request, response) => void response.send("the host's own"));
  const url = await listening(createServer(app));
  await (await holdfast.tasks.create({ id: "job" })).complete({ ok: true });
  expect(await (await fetch(`${url}/live/api/v1/tasks/job/stream`)).text()).toContain("event: complete");
  expect(await (await fetch(`${url}/healthz`)).text()).toBe("the host's own");
  expect((await fetch(`${url}/live/api/v1/nothing`)).headers.get("content-type")).toContain("problem+json");
  expect((await fetch(`${url}/elsewhere`)).headers.get("content-type")).toContain("text/html");
});

test("mounted on a path of Express, links lead back to it", async () => {
  const holdfast = await open({ basePath: "/live" });
  const app = express().use("/live", holdfast.handler);
  const url = await listening(createServer(app));
  const created = await fetch(`${url}/live/api/v1/tasks`, json("POST", { id: "job" }));
  expect(created.headers.get("location")).toBe("/live/api/v1/tasks/job");
  expect((await fetch(`${url}${created.headers.get("location") ?? ""}`)).status).toBe(200);
});

test("behind express.json() a body is still understood, and a wrong one still refused", async () => {
  const holdfast = await open();
  const app = express().use(express.json(), holdfast.handler);
  const url = await listening(createServer(app));
  expect((await fetch(`${url}/api/v1/tasks`, json("POST", { id: "parsed" }))).status).toBe(201);
  expect((await fetch(`${url}/api/v1/tasks`, json("POST", { total: "ten" }))).status).toBe(422);
});

test("with node:http alone, what is no route is a 404 problem document", async () => {
  const holdfast = await open();
  const url = await listening(createServer((request, response) => holdfast.handler(request, response)));
  expect(await (await fetch(`${url}/elsewhere`)).json()).toMatchObject({ code: "ROUTE_NOT_FOUND" });
});

test("in Fastify, the host's hooks run first, its routes, parsers and errors stay its own, and its close drains", async () => {
  const holdfast = await open();
  const app = Fastify();
  app.addHook("onRequest", async (request, reply) => {
    if (request.headers["x-blocked"] !== undefined) return await reply.code(418).send("no");
    return undefined;
  });
  app.setErrorHandler(async (_error, _request, reply) => await reply.code(500).send("the host's error"));
  app.post("/echo", async (request, reply) => await reply.send(request.body));
  await app.register(holdfastPlugin, { holdfast });
  const url = await app.listen({ port: 0, host: "127.0.0.1" });
  closers.push(async () => await app.close());

  expect(await (await fetch(`${url}/echo`, json("POST", { a: 1 }))).json()).toEqual({ a: 1 });
  expect((await fetch(`${url}/api/v1/tasks`, json("POST", { id: "job" }))).status).toBe(201);
  expect(
    (
      await fetch(`${url}/api/v1/tasks`, {
        method: "POST",
        body: "{",
        headers: { "Content-Type": "application/json" },
      })
    ).status,
  ).toBe(400);
  expect((await fetch(`${url}/api/v1/tasks`, { headers: { "X-Blocked": "1" } })).status).toBe(418);
  expect((await fetch(`${url}/healthz`)).status).toBe(404);

  const stream = await fetch(`${url}/api/v1/tasks/job/stream`);
  const [text] = await Promise.all([stream.text(), app.close()]);
  expect(text).toContain("event: drain");
});

test("uploads pass through every host unread: raw, tus and forms", async () => {
  const inExpress = await open({ dataDir: temporary() });
  const inFastify = await open({ dataDir: temporary() });
  const app = Fastify({ bodyLimit: 1_000 }); // the host's bound is for its own bodies
  await app.register(holdfastPlugin, { holdfast: inFastify });
  closers.push(async () => await app.close());
  const urls = [
    await listening(createServer(express().use(inExpress.handler))),
    await app.listen({ port: 0, host: "127.0.0.1" }),
  ];
  const bytes = new Uint8Array(50_000).fill(7);
  const outcomes = await Promise.all(
    urls.map(async (url) => await uploadThreeWays(`${url}/api/v1/uploads`, bytes)),
  );
  const whole = { status: "completed", uploaded: 50_000 };
  expect(outcomes).toEqual(urls.map(() => [whole, whole, whole]));
});

async function uploadThreeWays(url: string, bytes: Uint8Array<ArrayBuffer>): Promise<readonly object[]> {
  const raw = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream" },
    body: bytes,
  });
  const form = new FormData();
  form.set("file", new Blob([bytes]), "a.bin");
  const formed = await fetch(url, { method: "POST", body: form });
  const tus = { "Tus-Resumable": "1.0.0" };
  const made = await fetch(url, {
    method: "POST",
    headers: { ...tus, "Upload-Length": String(bytes.length) },
  });
  const self = new URL(made.headers.get("location") ?? "", url);
  const type = { "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0" };
  await fetch(self, { method: "PATCH", headers: { ...tus, ...type }, body: bytes });
  const answers = [raw, formed, await fetch(self)];
  return await Promise.all(
    answers.map(async (answer) => {
      const { status, uploaded } = (await answer.json()) as Task;
      return { status, uploaded };
    }),
  );
}

interface Example {
  readonly holdfast: Holdfast;
  readonly server?: Server;
  readonly app?: FastifyInstance;
}

async function runExample(name: string): Promise<Example> {
  const dataDir = temporary();
  process.env["DATA_DIR"] = dataDir;
  process.env["PORT"] = "0";
  const example = (await import(new URL(`../../../examples/${name}.mjs`, import.meta.url).href)) as Example;
  closers.push(async () => {
    await example.holdfast.close();
  });
  return example;
}

async function watchJob(url: string, path: string): Promise<string> {
  const started = await fetch(`${url}${path}`, { method: "POST" });
  expect(started.status).toBe(202);
  const { stream } = (await started.json()) as { readonly stream: string };
  return await (await fetch(`${url}${stream}`)).text();
}

test("the Express example shows its job from begin to end", async () => {
  const { server } = await runExample("express-host");
  if (server === undefined) throw new Error("the example exports no server");
  const text = await watchJob(await listening(server), "/reports");
  expect(text).toContain("event: progress");
  expect(text).toContain('"result":{"url":"/reports/2026.pdf"}');
});

test("the Fastify example shows its job from begin to end", async () => {
  const { app } = await runExample("fastify-host");
  if (app === undefined) throw new Error("the example exports no app");
  closers.push(async () => await app.close());
  const text = await watchJob(app.listeningOrigin, "/thumbnails");
  expect(text).toContain("event: progress");
  expect(text).toContain('"result":{"count":4}');
});
