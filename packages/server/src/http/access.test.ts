import { request as httpRequest } from "node:http";
import { SignJWT } from "jose";
import { afterEach, expect, test, vi } from "vitest";
import type { Authorize } from "../options.js";
import { closeServed, json, serve, until, type Served } from "./served.test.kit.js";
import { signToken, type NewToken } from "./token.js";

afterEach(closeServed);

const SECRET = "a secret of more than thirty-two bytes";
const OPEN = new Set(["/healthz", "/readyz", "/openapi.json"]);

async function token(claims: Partial<NewToken>): Promise<{ readonly Authorization: string }> {
  return {
    Authorization: `Bearer ${await signToken({ secret: SECRET, scopes: ["watch"], expiresInSeconds: 60, ...claims })}`,
  };
}

async function status(url: string, init?: RequestInit): Promise<number> {
  const leaving = new AbortController();
  const response = await fetch(url, { ...init, signal: leaving.signal });
  leaving.abort();
  return response.status;
}

/** Every route as the OpenAPI document lists it, with an id filled in. */
async function routes({
  url,
}: Served): Promise<readonly { readonly method: string; readonly path: string }[]> {
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      method: method.toUpperCase(),
      path: path.replace("{id}", "some-id"),
    })),
  );
}

test("every route but health, readiness and the OpenAPI document refuses without a token", async () => {
  const served = await serve({ authSecret: SECRET });
  const walked = await routes(served);
  expect(walked.length).toBeGreaterThan(12);
  const answers = await Promise.all(
    walked.map(async ({ method, path }) => {
      const { status: got, headers } = await fetch(`${served.url}${path}`, { method });
      return [method, path, got, headers.get("www-authenticate")];
    }),
  );
  expect(answers).toEqual(
    walked.map(({ method, path }) =>
      OPEN.has(path) ? [method, path, 200, null] : [method, path, 401, 'Bearer realm="holdfast"'],
    ),
  );
  expect(await status(`${served.api}/tasks/some-id/stream`, { method: "HEAD" })).toBe(401);
});

test("every route but the open ones asks the host's authorize, and a no is 403", async () => {
  const authorize = vi.fn<Authorize>(() => false);
  const served = await serve({ authorize });
  const bodies: Record<string, unknown> = {
    "/api/v1/stream": { tasks: ["some-id"] },
    "/api/v1/tasks": {},
    "/api/v1/batches": {},
    "/api/v1/uploads": { filename: "f" },
  };
  const walked = (await routes(served)).filter(({ path }) => !OPEN.has(path));
  const answers = await Promise.all(
    walked.map(async ({ method, path }) => {
      const init = method === "POST" && path in bodies ? json(method, bodies[path]) : { method };
      const query = path === "/api/v1/stream" ? "?task=some-id" : "";
      return [method, path, await status(`${served.url}${path}${query}`, init)];
    }),
  );
  expect(answers).toEqual(walked.map(({ method, path }) => [method, path, 403]));
  expect(authorize).toHaveBeenCalledTimes(walked.length);
});

test("authorize hears what is asked, about which task, and of which batch", async () => {
  const authorize = vi.fn<Authorize>(() => true);
  const { api } = await serve({ authorize });
  await fetch(`${api}/tasks`, json("POST", { id: "one", batchId: "many" }));
  await fetch(`${api}/tasks/one`);
  const asked = authorize.mock.calls.map(([{ action, taskId, batchId }]) => ({ action, taskId, batchId }));
  expect(asked).toEqual([
    { action: "produce", taskId: "one", batchId: "many" },
    { action: "watch", taskId: "one", batchId: "many" },
  ]);
});

test("an authorize that throws denies, and its error stays in the log", async () => {
  const { api, logs } = await serve({
    authorize: () => {
      throw new Error("the user database is on fire");
    },
  });
  const response = await fetch(`${api}/tasks`);
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("fire");
  expect(JSON.stringify(logs)).toContain("on fire");
});

test("a token is taken from Bearer, cookie and query", async () => {
  const { api } = await serve({ authSecret: SECRET });
  const { Authorization } = await token({});
  const text = Authorization.slice("Bearer ".length);
  expect(await status(`${api}/tasks`, { headers: { Authorization } })).toBe(200);
  expect(await status(`${api}/tasks`, { headers: { Cookie: `theme=dark; holdfast_token=${text}` } })).toBe(
    200,
  );
  expect(await status(`${api}/tasks?token=${text}`)).toBe(200);
  expect(await status(`${api}/tasks`, { headers: { Cookie: `xholdfast_token=${text}` } })).toBe(401);
});

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

test("a forged, unsigned, expired or endless token is refused", async () => {
  const { api } = await serve({ authSecret: SECRET });
  const key = new TextEncoder().encode(SECRET);
  const endless = await new SignJWT({ scope: "admin" }).setProtectedHeader({ alg: "HS256" }).sign(key);
  const otherAlgorithm = await new SignJWT({ scope: "admin" })
    .setProtectedHeader({ alg: "HS512" })
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(SECRET.repeat(2)));
  const unsigned = `${part({ alg: "none" })}.${part({ scope: "admin", exp: 9_999_999_999 })}.`;
  const forged = await signToken({
    secret: "another secret of thirty-two bytes..",
    scopes: ["admin"],
    expiresInSeconds: 60,
  });
  const expired = await signToken({ secret: SECRET, scopes: ["admin"], expiresInSeconds: -1 });
  const wrong = [endless, otherAlgorithm, unsigned, forged, expired, "nonsense"];
  const answers = await Promise.all(
    wrong.map(async (text) => await status(`${api}/tasks`, { headers: { Authorization: `Bearer ${text}` } })),
  );
  expect(answers).toEqual(wrong.map(() => 401));
});

test("a scope allows its own actions; admin allows all", async () => {
  const { api, url } = await serve({ authSecret: SECRET });
  const create = json("POST", { id: "mine" });
  expect(
    await status(`${api}/tasks`, { ...create, headers: { ...create.headers, ...(await token({})) } }),
  ).toBe(403);
  expect(
    await status(`${api}/tasks`, {
      ...create,
      headers: { ...create.headers, ...(await token({ scopes: ["produce"] })) },
    }),
  ).toBe(201);
  expect(await status(`${api}/tasks/mine`, { headers: await token({ scopes: ["produce"] }) })).toBe(403);
  expect(await status(`${url}/metrics`, { headers: await token({}) })).toBe(403);
  expect(await status(`${url}/metrics`, { headers: await token({ scopes: ["admin"] }) })).toBe(200);
});

test("a token of one task opens that task alone", async () => {
  const { api, holdfast } = await serve({ authSecret: SECRET });
  await holdfast.tasks.create({ id: "mine" });
  await holdfast.tasks.create({ id: "theirs" });
  const headers = await token({ taskId: "mine" });
  expect(await status(`${api}/tasks/mine/stream`, { headers })).toBe(200);
  expect(await status(`${api}/tasks/theirs/stream`, { headers })).toBe(403);
  expect(await status(`${api}/stream?task=mine&task=theirs`, { headers })).toBe(403);
  expect(await status(`${api}/tasks`, { headers })).toBe(403);
});

test("a token of one batch opens the tasks that really belong to it, whatever the request says", async () => {
  const { api, holdfast } = await serve({ authSecret: SECRET });
  await holdfast.tasks.create({ id: "mine", batchId: "ours" });
  await holdfast.tasks.create({ id: "theirs", batchId: "other" });
  const headers = await token({ batchId: "ours", scopes: ["watch", "produce"] });
  expect(await status(`${api}/tasks/mine/stream`, { headers })).toBe(200);
  expect(await status(`${api}/batches/ours/stream`, { headers })).toBe(200);
  expect(await status(`${api}/tasks?batchId=ours`, { headers })).toBe(200);
  expect(await status(`${api}/tasks/theirs`, { headers })).toBe(403);
  expect(await status(`${api}/batches/other`, { headers })).toBe(403);
  expect(await status(`${api}/tasks/unknown`, { headers })).toBe(403);
  const steal = json("POST", { id: "theirs", batchId: "ours" });
  expect(await status(`${api}/tasks`, { ...steal, headers: { ...steal.headers, ...headers } })).toBe(403);
});

test("a token of one task can't put it into a stranger's batch", async () => {
  const { api } = await serve({ authSecret: SECRET });
  const headers = await token({ taskId: "mine", scopes: ["produce"] });
  const create = json("POST", { id: "mine", batchId: "theirs" });
  expect(await status(`${api}/tasks`, { ...create, headers: { ...create.headers, ...headers } })).toBe(403);
});

test("a stream ends when its token expires, and the log says why", async () => {
  const { api, holdfast, logs } = await serve({ authSecret: SECRET });
  await holdfast.tasks.create({ id: "long" });
  // In whole seconds: more than two are left to open the stream.
  const headers = await token({ expiresInSeconds: 3 });
  const text = await (await fetch(`${api}/tasks/long/stream`, { headers })).text();
  expect(text).toContain("event: connected");
  await until(() => logs.some((line) => line["reason"] === "token-expired"));
});

test("no token reaches the log, whichever way it came", async () => {
  const { api, holdfast, logs } = await serve({ authSecret: SECRET });
  await holdfast.tasks.create({ id: "quiet" });
  const { Authorization } = await token({});
  const text = Authorization.slice("Bearer ".length);
  const leaving = new AbortController();
  const stream = await fetch(`${api}/tasks/quiet/stream?token=${text}`, { signal: leaving.signal });
  expect(stream.status).toBe(200);
  leaving.abort();
  await fetch(`${api}/tasks?token=${text}`);
  await fetch(`${api}/nothing?token=${text}`);
  await fetch(`${api}/tasks/%zz?token=${text}`);
  await fetch(`${api}/tasks/quiet`, { headers: { Cookie: `holdfast_token=${text}` } });
  await until(() => logs.some((line) => line["msg"] === "stream ended"));
  expect(logs.length).toBeGreaterThan(4);
  expect(JSON.stringify(logs)).not.toContain(text.slice(-20));
});

/** fetch does not let a page's own headers be forged; a bare request does. */
async function changeFrom(port: number, headers: Record<string, string>): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        port,
        path: "/api/v1/tasks",
        method: "POST",
        headers: { "Content-Type": "application/json", ...headers },
      },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    request.on("error", reject);
    request.end("{}");
  });
}

test("a change sent by another site's page is refused; the own page, curl and listed origins pass", async () => {
  const { port, api } = await serve({ corsOrigins: ["https://app.example"] });
  const evil = { Origin: "https://evil.example" };
  expect(await changeFrom(port, { ...evil, "Sec-Fetch-Site": "cross-site" })).toBe(403);
  expect(await changeFrom(port, { ...evil, "Sec-Fetch-Site": "same-site" })).toBe(403);
  expect(await changeFrom(port, { "Sec-Fetch-Site": "cross-site" })).toBe(403);
  expect(await changeFrom(port, { Origin: "null", "Sec-Fetch-Site": "cross-site" })).toBe(403);
  expect(await changeFrom(port, { Origin: "https://app.example", "Sec-Fetch-Site": "cross-site" })).toBe(201);
  // A proxy has rewritten Host: the browser's word still holds.
  expect(
    await changeFrom(port, {
      Host: "backend:8080",
      Origin: "https://front.example",
      "Sec-Fetch-Site": "same-origin",
    }),
  ).toBe(201);
  expect(await changeFrom(port, {})).toBe(201);
  expect(await status(`${api}/tasks`)).toBe(200);
});

test("CORS answers listed origins with credentials, others not at all, and * without credentials", async () => {
  const listed = await serve({ corsOrigins: ["https://app.example"] });
  const preflight = {
    method: "OPTIONS",
    headers: { Origin: "https://app.example", "Access-Control-Request-Method": "PATCH" },
  };
  const allowed = await fetch(`${listed.api}/uploads`, preflight);
  expect(allowed.status).toBe(204);
  expect(allowed.headers.get("access-control-allow-origin")).toBe("https://app.example");
  expect(allowed.headers.get("access-control-allow-credentials")).toBe("true");
  expect(allowed.headers.get("access-control-allow-methods")).toContain("PATCH");
  expect(allowed.headers.get("access-control-allow-headers")).toContain("Upload-Offset");
  const read = await fetch(`${listed.api}/tasks`, { headers: { Origin: "https://app.example" } });
  expect(read.headers.get("access-control-expose-headers")).toContain("Upload-Offset");
  expect(read.headers.get("vary")).toContain("Origin");
  const other = await fetch(`${listed.api}/tasks`, { headers: { Origin: "https://evil.example" } });
  expect(other.headers.get("access-control-allow-origin")).toBeNull();

  const everybody = await serve({ corsOrigins: ["*"] });
  const any = await fetch(`${everybody.api}/tasks`, { headers: { Origin: "https://any.example" } });
  expect(any.headers.get("access-control-allow-origin")).toBe("*");
  expect(any.headers.get("access-control-allow-credentials")).toBeNull();
});

test("an OPTIONS that is no preflight reaches tus, with a list of origins as without", async () => {
  const servers = [
    await serve(),
    await serve({ corsOrigins: ["https://app.example"] }),
    await serve({ authSecret: SECRET }),
  ];
  const answers = await Promise.all(
    servers.map(async ({ api }) => {
      const { status: got, headers } = await fetch(`${api}/uploads`, { method: "OPTIONS" });
      return [got, headers.get("tus-version"), headers.get("access-control-allow-origin")];
    }),
  );
  expect(answers).toEqual(servers.map(() => [204, "1.0.0", null]));
});

test("a stream carries the CORS headers too", async () => {
  const { api, holdfast } = await serve({ corsOrigins: ["https://app.example"] });
  await (await holdfast.tasks.create({ id: "seen" })).complete();
  const response = await fetch(`${api}/tasks/seen/stream`, { headers: { Origin: "https://app.example" } });
  expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
  await response.text();
});
