/**
 * The README of @holdfast/stream: every example in TypeScript is compiled against the package as it is published, strictly, and runs as it
 * is printed but for its port. An example is named by its heading; one that is added without a case here is noticed.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand, type CommandResult } from "../harness/command-run.js";
import { EventReader } from "../harness/event-reader.js";
import { makeSelfSigned } from "../harness/self-signed.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const dir = mkdtempSync(join(tmpdir(), "holdfast-readme-"));
const children = new Set<ChildProcess>();

const NODE =
  "`(request, response)`: node:http, Express, Connect; in Fastify the `.raw` ones, after `reply.hijack()`";
const WEB = "`Request` → `Response`: Hono (`context.req.raw`) and other hosts of the Fetch API";
const HTTP2 = "HTTP/2";
const SOME = "Not for everybody";
const PARTS = "The parts";
const FILES: { readonly [heading: string]: string } = {
  [NODE]: "node",
  [WEB]: "web",
  [HTTP2]: "http2",
  [SOME]: "some",
  [PARTS]: "parts",
};

// Were the package's types not found, everything would be `any`, and this error would be missed.
const CANARY = `import { createChannel } from "@holdfast/stream";
// @ts-expect-error -- no such option
createChannel({ historySize: 1 });
`;

let headings: readonly string[] = [];
let compiled: CommandResult;

beforeAll(async () => {
  const text = readFileSync(join(root, "packages/stream/README.md"), "utf8");
  const found = [...text.matchAll(/^#+ (.*)$|^```(?:ts|typescript)\n([^]*?)^```$/gm)];
  let heading = "";
  const examples: { readonly heading: string; readonly code: string }[] = [];
  for (const [, title, code = ""] of found) {
    if (title === undefined) examples.push({ heading, code });
    else heading = title;
  }
  headings = examples.map((example) => example.heading);
  for (const { heading: title, code } of examples)
    writeFileSync(join(dir, `${FILES[title] ?? "unnamed"}.ts`), code);
  writeFileSync(join(dir, "canary.ts"), CANARY);
  writeFileSync(join(dir, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = {
    types: ["node"],
    composite: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    noEmitOnError: true,
    rootDir: ".",
    outDir: "dist",
  };
  const config = { extends: join(root, "tsconfig.base.json"), compilerOptions, include: ["*.ts"] };
  writeFileSync(join(dir, "tsconfig.json"), JSON.stringify(config));
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  await makeSelfSigned(dir);
  compiled = await runCommand(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", dir]);
});

afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all(
    Array.from(children, async (child) => child.exitCode ?? child.signalCode ?? (await once(child, "exit"))),
  );
  rmSync(dir, { recursive: true, force: true });
});

test("each example has a case here, and compiles", () => {
  expect(headings).toEqual(Object.keys(FILES));
  expect(compiled).toEqual({ code: 0, stdout: "", stderr: "" });
});

test(`${NODE}: the newest progress, the ending after it, a return, and a clean exit`, async () => {
  const { child, port } = await run(NODE);
  const url = `http://127.0.0.1:${port}/`;
  const reader = new EventReader(url);
  const done = await reader.first("done", 30_000);
  expect(reader.named("progress").length).toBeGreaterThan(1);
  expect(done).toMatchObject({ data: { job: 1 }, id: expect.stringMatching(/-1$/) });
  const returned = new EventReader(url, { lastEventId: done.id?.replace(/-1$/, "-0") });
  await returned.first("done");
  child.kill("SIGTERM");
  expect((await reader.first("drain")).data["reconnectInMs"]).toBeLessThanOrEqual(5_000);
  expect([await reader.ended, await returned.ended]).toEqual([{ kind: "ended" }, { kind: "ended" }]);
  expect(await exited(child)).toBe(0);
});

test(`${WEB}: who comes late hears the answer from its first word`, async () => {
  const script = `
    const { default: host } = await import("./dist/web.js");
    let text = "";
    for await (const bytes of host.fetch(new Request("http://localhost/")).body.pipeThrough(new TextDecoderStream())) {
      text += bytes;
      if (text.includes("event: end\\n")) break;
    }
    process.stdout.write(text, () => process.exit());`;
  writeFileSync(join(dir, "web-host.mjs"), script);
  const { stdout } = await runCommand(process.execPath, [join(dir, "web-host.mjs")]);
  const words = [...stdout.matchAll(/^event: token\ndata: "(.*)"$/gm)].map(([, word]) => word);
  expect(words.join(" ")).toBe("an answer that comes word by word");
});

test(`${HTTP2}: what is the connection's own, and a batch out of the history`, async () => {
  const { port } = await run(HTTP2);
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
  const stream = session.request({ ":path": "/", "last-event-id": "unknown" });
  let text = "";
  for await (const chunk of stream.setEncoding("utf8")) {
    text += String(chunk);
    if (text.includes('"line":20}') && text.includes("event: hello\n")) break;
  }
  session.destroy();
  expect(text).toContain('event: hello\ndata: {"yours":"alone"}\n');
  expect([...text.matchAll(/^event: line$/gm)]).toHaveLength(20);
});

test(`${SOME}: each hears what is said in its room and whispered to it, live and on return`, async () => {
  const { port } = await run(SOME);
  const url = `http://127.0.0.1:${port}/`;
  const ada = new EventReader(`${url}?name=Ada`);
  const cook = new EventReader(`${url}?room=kitchen`);
  const whispered = await ada.first("whispered");
  const said = await cook.first("said");
  const returned = new EventReader(`${url}?name=Ada`, { lastEventId: said.id?.replace(/\d+$/, "0") });
  expect((await returned.first("whispered")).id).toMatch(/-2$/);
  expect(whispered.data).toEqual({ text: "to Ada" });
  expect([...ada.named("said"), ...returned.named("said"), ...cook.named("whispered")]).toEqual([]);
  for (const reader of [ada, cook, returned]) reader.close();
});

test(`${PARTS}: a first frame and a state`, async () => {
  const { port } = await run(PARTS);
  const reader = new EventReader(`http://127.0.0.1:${port}/`);
  expect((await reader.first("cpu")).data).toBe(0.4);
  expect(reader.named("hello")).toHaveLength(1);
  reader.close();
});

/** Starts a compiled example on a free port, which it tells. */
async function run(heading: string): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const file = join(dir, "dist", `${FILES[heading] ?? ""}.js`);
  const code = readFileSync(file, "utf8");
  const announced = code.replace(
    /\.listen\(\d+\)/,
    ".listen(0, function () { process.send(this.address().port); })",
  );
  expect(announced).not.toBe(code);
  writeFileSync(file, announced);
  const child = fork(file, { cwd: dir, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  children.add(child);
  const port = await new Promise<number>((resolve, reject) => {
    child.once("message", (message) => resolve(Number(message)));
    child.once("exit", () => reject(new Error(`the example under ${heading} ended before it listened`)));
  });
  return { child, port };
}

async function exited(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}
