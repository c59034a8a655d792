import { afterEach, expect, test } from "vitest";
import type { CommandIo } from "../command-io.js";
import { UsageError } from "../usage-error.js";
import { closeOrigins, openOrigin, sendEvents, STREAM } from "./broken-origin.test.kit.js";
import { doctor } from "./command.js";

afterEach(closeOrigins);

function run(...args: string[]): {
  readonly code: Promise<number>;
  readonly out: () => string;
  readonly err: () => string;
  readonly interrupt: () => void;
} {
  let [out, err] = ["", ""];
  const interrupts = new Set<() => void>();
  const io: CommandIo = {
    env: {},
    stdout: { write: (text) => (out += text) },
    stderr: { write: (text) => (err += text) },
    signals: {
      on: (_, listener) => interrupts.add(listener),
      off: (_, listener) => interrupts.delete(listener),
    },
    exit: () => undefined,
  };
  const interrupt = () => {
    for (const listener of interrupts) listener();
  };
  return { code: doctor(args, io), out: () => out, err: () => err, interrupt };
}

test("a healthy stream: facts, progress on stderr, exit code 0; headers are sent as written", async () => {
  const heard: (string | undefined)[] = [];
  const url = await openOrigin((request, response) => {
    heard.push(request.headers.authorization, request.headers["x-list"] as string);
    response.writeHead(200, STREAM);
    sendEvents(response);
  });
  const { code, out, err } = run(
    url.href,
    "--watch=2s",
    "--header",
    "Authorization: Bearer a",
    "--header",
    "X-List: 1, 2",
  );
  expect(await code).toBe(0);
  expect(out()).toContain("Nothing is wrong with this way");
  expect(out()).toContain("200 text/event-stream");
  expect(err()).toContain("watching the stream for 2 s");
  expect(new Set(heard)).toEqual(new Set(["Bearer a", "1, 2"]));
});

test("exit codes: 1 with a fault, 3 with a risk; JSON holds the findings and everything seen", async () => {
  const url = await openOrigin((_, response) => response.writeHead(401).end());
  const refused = run(url.href, "--watch=2s", "--json");
  expect(await refused.code).toBe(1);
  expect(JSON.parse(refused.out())).toMatchObject({
    url: url.href,
    findings: [{ id: "refused", severity: "fault" }],
    seen: { plain: { status: 401 } },
  });
  const risky = await openOrigin((_, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    sendEvents(response);
  });
  expect(await run(risky.href, "--watch=2s").code).toBe(3);
});

test("interrupted it says what it has seen so far", async () => {
  let asked = 0;
  const url = await openOrigin((_, response) => {
    asked += 1;
    response.writeHead(200, STREAM);
    sendEvents(response);
    // The second look begins two seconds after the first, which has seen events by then.
    if (asked === 2) interrupt();
  });
  const { code, out, interrupt } = run(url.href, "--watch=1h");
  expect(await code).toBe(0);
  expect(out()).toContain("200 text/event-stream");
});

test("what it can't be asked is refused with what was got", async () => {
  await expect(run().code).rejects.toThrow(UsageError);
  await expect(run("ftp://a").code).rejects.toThrow(/http or https: got ftp:\/\/a/);
  await expect(run("nonsense").code).rejects.toThrow(/got nonsense/);
  await expect(run("http://a", "http://b").code).rejects.toThrow(/one URL: got http:\/\/a http:\/\/b/);
  await expect(run("http://a", "--header", "no colon").code).rejects.toThrow(/a name, a colon and a value/);
  await expect(run("http://a", "--watch", "soon").code).rejects.toThrow(UsageError);
  await expect(run("http://a", "--origin", "elsewhere").code).rejects.toThrow(/a scheme and a host/);
});
