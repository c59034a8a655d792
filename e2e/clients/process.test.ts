/** What a pending retry does to the Node process it waits in. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";

const busy = createServer((_request, response) => {
  response.writeHead(503, { "Retry-After": "600", Connection: "close" });
  response.end();
});
beforeAll(async () => {
  busy.listen(0, "127.0.0.1");
  await once(busy, "listening");
});
afterAll(() => void busy.close());

function watchFrom(unref: boolean): ReturnType<typeof spawn> {
  const { port } = busy.address() as AddressInfo;
  const code = `
    import { StableEventSource } from "@holdfast/client";
    const source = new StableEventSource("http://127.0.0.1:${port}/", { unref: ${unref} });
    source.addEventListener("error", () => console.log(source.state.state));`;
  return spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

test("with unref a process that has nothing else to do ends although a retry is due", async () => {
  const child = watchFrom(true);
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
});

test("without it the process waits for the retry", async () => {
  const child = watchFrom(false);
  if (child.stdout === null) throw new Error("no output");
  const [line] = await once(child.stdout, "data");
  expect(String(line)).toBe("waiting\n");
  // Its event loop has turned many times by now: a process that was to end would have.
  const ended = await Promise.race([
    once(child, "exit"),
    new Promise((resolve) => setTimeout(resolve, 500, "alive")),
  ]);
  child.kill();
  expect(ended).toBe("alive");
});
