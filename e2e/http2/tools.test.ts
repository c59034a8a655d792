/** The tools of nghttp2 and curl, as strict as clients come: what is on the wire is what HTTP/2 wants. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../harness/command-run.js";
import { callJson } from "../harness/http-call.js";
import { makeSelfSigned } from "../harness/self-signed.js";
import { makeDataDir, ServerProcess } from "../harness/server-process.js";

const { dataDir, remove } = makeDataDir();
const FLAGS = ["--http=2", "--log-level=error", "--heartbeat=500ms", "--max-stream-age=1s"];
let server: ServerProcess;
let url: string;

beforeAll(async () => {
  ({ server, url } = await ServerProcess.start({ dataDir, flags: FLAGS }));
  for (const id of ["live", "ended"]) await callJson(`${url}/api/v1/tasks`, { json: { id } });
  await callJson(`${url}/api/v1/tasks/ended/events`, { json: { type: "complete", data: { result: 1 } } });
});

afterAll(async () => {
  await server.kill();
  remove();
});

/** What nghttp got, one line a frame. */
async function framesOf(
  address: string,
): Promise<{ readonly code: number | null; readonly frames: readonly string[]; readonly text: string }> {
  const { code, stdout } = await runCommand("nghttp", ["-v", address], { maxMs: 20_000 });
  const escapes = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, "g");
  const text = stdout.replaceAll(escapes, "");
  const frames = [...text.matchAll(/recv ([A-Z_]+) frame <length=\d+, flags=(0x\d+), stream_id=(\d+)>/g)].map(
    ([, type, flags, streamId]) => `${type} ${flags} ${streamId === "0" ? "connection" : "stream"}`,
  );
  return { code, frames, text };
}

test.each([
  ["the ending", "ended"],
  ["its age", "live"],
])("a stream that ends by %s ends with END_STREAM, and nothing is reset", async (_, id) => {
  const { code, frames, text } = await framesOf(`${url}/api/v1/tasks/${id}/stream`);
  expect(code).toBe(0);
  expect(text).toMatch(id === "ended" ? /^event: complete$/m : /^event: drain$/m);
  expect(frames.at(-1)).toBe("DATA 0x01 stream");
  expect(frames.filter((frame) => /RST_STREAM|GOAWAY/.test(frame))).toEqual([]);
  const names = [...text.matchAll(/recv \(stream_id=\d+\) ([^:\s]+):/g)].map(([, name = ""]) => name);
  for (const name of names)
    expect(["connection", "keep-alive", "transfer-encoding", "upgrade"]).not.toContain(name);
});

test("at drain a stream is told when to come back and ends with END_STREAM", async () => {
  const own = makeDataDir();
  const draining = await ServerProcess.start({
    dataDir: own.dataDir,
    flags: ["--http=2", "--log-level=error"],
  });
  await callJson(`${draining.url}/api/v1/tasks`, { json: { id: "live" } });
  const read = framesOf(`${draining.url}/api/v1/tasks/live/stream`);
  const open = async (): Promise<boolean> =>
    /^holdfast_streams_open 1$/m.test(await (await fetch(`${draining.url}/metrics`)).text());
  await expect.poll(open, { timeout: 10_000 }).toBe(true);
  const exit = await draining.server.stop();
  const { frames, text } = await read;
  own.remove();
  expect(exit.code).toBe(0);
  expect(text).toMatch(/^event: drain$/m);
  // Its last stream over, nghttp leaves before it could read GOAWAY.
  expect(frames.findLast((frame) => frame.startsWith("DATA"))).toBe("DATA 0x01 stream");
  expect(frames.some((frame) => frame.startsWith("RST_STREAM"))).toBe(false);
});

test.each(["/api/v1/tasks/ended", "/api/v1/tasks/ended/stream"])(
  "h2load gets 1,000 answers of %s, 100 at a time on each of 4 connections, and none fails",
  async (path) => {
    const { stdout } = await runCommand("h2load", ["-n", "1000", "-c", "4", "-m", "100", `${url}${path}`]);
    expect(stdout).toMatch(/1000 succeeded, 0 failed, 0 errored, 0 timeout/);
    expect(stdout).toMatch(/status codes: 1000 2xx/);
  },
);

test("over TLS curl gets HTTP/2, or HTTP/1.1 when it asks for that, and the same stream", async () => {
  const own = makeDataDir();
  const { flags } = await makeSelfSigned(own.dataDir);
  const secure = await ServerProcess.start({ dataDir: `${own.dataDir}/data`, flags: ["--http=2", ...flags] });
  try {
    const json = ["-H", "Content-Type: application/json"];
    const curl = async (...args: readonly string[]): Promise<string> =>
      (await runCommand("curl", ["-sSk", ...args, "-w", "\nversion %{http_version}"])).stdout;
    const tasks = `${secure.url}/api/v1/tasks`;
    await curl(...json, "-d", '{"id":"a"}', tasks);
    await curl(...json, "-d", '{"type":"complete","data":{"result":1}}', `${tasks}/a/events`);
    const streams = [];
    for (const version of ["--http2", "--http1.1"])
      streams.push(await curl("-N", version, `${tasks}/a/stream`));
    expect(streams.map((text) => /version (.+)$/.exec(text)?.[1])).toEqual(["2", "1.1"]);
    const names = streams.map((text) => [...text.matchAll(/^event: (.+)$/gm)].map(([, name]) => name));
    expect(names).toEqual([
      ["connected", "complete"],
      ["connected", "complete"],
    ]);
  } finally {
    await secure.server.kill();
    own.remove();
  }
});
