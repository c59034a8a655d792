/** The examples of embedding run as they are printed, each in a process of its own. */
import { spawn } from "node:child_process";
import { createServer, type AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { EventReader } from "../harness/event-reader.js";
import { callJson } from "../harness/http-call.js";
import { makeDataDir } from "../harness/server-process.js";

const EXAMPLES = [
  { file: "express-host.mjs", path: "/reports", result: { url: "/reports/2026.pdf" } },
  { file: "fastify-host.mjs", path: "/thumbnails", result: { count: 4 } },
];

for (const { file, path, result } of EXAMPLES) {
  test(`examples/${file}: a job is watched to its end, and SIGTERM ends the process with 0`, async () => {
    const { dataDir, remove } = makeDataDir();
    const port = await freePort();
    const script = fileURLToPath(new URL(`../../examples/${file}`, import.meta.url));
    const child = spawn(process.execPath, [script], {
      env: { ...process.env, PORT: String(port), DATA_DIR: dataDir },
      stdio: ["ignore", "ignore", "inherit"],
    });
    const exited = new Promise<number | null>((resolve) => void child.once("exit", (code) => resolve(code)));
    try {
      const url = `http://127.0.0.1:${port}`;
      await untilUp(`${url}/live/healthz`);
      const { status, json } = await callJson(`${url}${path}`, { method: "POST" });
      expect(status).toBe(202);
      const reader = new EventReader(`${url}${String(json["stream"])}`);
      const complete = await reader.first("complete");
      expect(complete.data["result"]).toEqual(result);
      expect(await reader.ended).toEqual({ kind: "ended" });
      child.kill("SIGTERM");
      expect(await exited).toBe(0);
    } finally {
      child.kill("SIGKILL");
      await exited;
      remove();
    }
  });
}

async function untilUp(url: string): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    try {
      if ((await callJson(url)).status === 200) return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
    await pause(50);
  }
}

/** Free a moment ago: the examples take a number, not a wish. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return port;
}
