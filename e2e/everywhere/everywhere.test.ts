/**
 * The client on every runtime: `npm test` asks the Node that it runs on, `npm run everywhere` also Node 22 and 24, Bun and Deno from npm, and keeps what
 * they said in e2e/results/everywhere.json.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleSuite } from "../eventsource/suite-bundle.js";
import type { SuiteAnswer } from "../eventsource/suite-entry.js";
import { tally } from "../eventsource/tally.js";
import { startWptServer } from "../eventsource/wpt-server.js";
import { reportResult, WHOLE } from "../harness/run-form.js";
import { startScriptedServer, type Play, type ScriptedServer } from "../harness/scripted-server.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";
import { installRuntimes, type Runtime } from "./runtimes.js";

const PROMISES = ["EventSource", "StableEventSource", "watchTask", "a pending retry keeps the process alive"];
const SMOKE = fileURLToPath(new URL("smoke.mjs", import.meta.url));
// A runtime starts in 0.1 s and is done in one; on a machine that does much else at once, in many more.
const LIMIT_MS = 60_000;
const LATE_MS = 600;

const runtimes: readonly Runtime[] = [
  { name: `Node ${process.versions.node}`, command: [process.execPath] },
  ...(WHOLE ? installRuntimes() : []),
];

const { dataDir, remove } = makeDataDir();
let holdfast: ServerProcess;
let url: string;
const WEB_PLATFORM = fileURLToPath(new URL("web-platform.mjs", import.meta.url));
const webPlatform: { [runtime: string]: string } = {};
const kept: { [runtime: string]: readonly string[] } = {};

beforeAll(async () => {
  ({ server: holdfast, url } = await ServerProcess.start({ dataDir }));
});
afterAll(async () => {
  await holdfast.stop();
  remove();
  reportResult("everywhere", { promises: PROMISES, kept, webPlatformTests: webPlatform });
});

/** Breaks the first connection of each path; the second is told from where it asked. */
const breaksOnce: Play = (request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  const id = request.headers["last-event-id"];
  if (typeof id === "string") {
    response.write(`event: tick\ndata: asked from ${Buffer.from(id, "latin1").toString("utf8")}\n\n`);
  } else response.write("retry: 10\nid: ✓\nevent: tick\ndata: first\n\n", () => request.socket.end());
};

const speaks: Play = (_request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.write("data: here\n\n");
};

/** Runs a script to its end; `onOutput` hears all that was printed so far. */
async function run(
  { command: [program = "", ...args] }: Runtime,
  script: string,
  scriptArgs: readonly string[],
  onOutput: (output: string) => void = () => undefined,
): Promise<{ readonly code: number | null; readonly output: string }> {
  const child = spawn(program, [...args, script, ...scriptArgs], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LIMIT_MS,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString();
      onOutput(output);
    });
  }
  const code = await new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  return { code, output };
}

test.each(runtimes.map((runtime) => [runtime.name, runtime] as const))(
  "%s keeps every promise",
  async (name, runtime) => {
    const breaking = await startScriptedServer(breaksOnce);
    const reserved = await startScriptedServer(speaks);
    await reserved.stop();
    let late: Promise<ScriptedServer> | undefined;
    const { code, output } = await run(runtime, SMOKE, [url, breaking.url, reserved.url], (text) => {
      if (text.includes("ok watchTask"))
        late ??= delay(LATE_MS).then(() => startScriptedServer(speaks, reserved));
    });
    await Promise.all([breaking.stop(), late?.then((server) => server.stop())]);
    kept[name] = [...output.matchAll(/^ok (.*)$/gm)].map(([, promise = ""]) => promise);
    if (code !== 0) console.log(output);
    expect({ kept: kept[name], code }).toEqual({ kept: PROMISES, code: 0 });
  },
);

test.each(runtimes.map((runtime) => [runtime.name, runtime] as const))(
  "on %s every case of web-platform-tests that needs no browser is as it must be",
  async (name, runtime) => {
    const directory = mkdtempSync(join(tmpdir(), "holdfast-suite-"));
    const bundle = join(directory, "suite.js");
    writeFileSync(bundle, await bundleSuite());
    const [here, there] = await Promise.all([startWptServer(), startWptServer()]);
    const { output } = await run(runtime, WEB_PLATFORM, [bundle, `${here.base}index.html`, there.base]);
    await Promise.all([here.stop(), there.stop()]);
    rmSync(directory, { recursive: true });
    // The last line; a runtime may have warned of something before.
    const { outcomes } = JSON.parse(output.trim().split("\n").at(-1) ?? "") as SuiteAnswer;
    const { asked, wrong } = tally(name, outcomes);
    const passed = outcomes.filter(({ problem, beyond }) => problem === null && !beyond).length;
    webPlatform[name] = `${passed} of ${asked}`;
    expect(wrong).toEqual([]);
  },
);
