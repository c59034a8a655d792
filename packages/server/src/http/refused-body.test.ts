import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { closeServed, serve } from "./served.test.kit.js";

afterEach(closeServed);

const SECRET = "a secret of more than thirty-two bytes, for this test";
const endless = "Host: x\r\nContent-Length: 99999999999\r\n\r\n";

/** Sends until the socket is let go; the status of the answer. */
async function sendEndlessly(port: number, line: string): Promise<string | undefined> {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  socket.on("error", () => undefined);
  socket.write(`${line} HTTP/1.1\r\n${endless}`);
  const sending = setInterval(() => socket.write("x".repeat(1_000)), 50);
  await new Promise((resolve) => void socket.once("close", resolve));
  clearInterval(sending);
  return answer.split(" ", 2)[1];
}

test("a refused request is answered, and what it goes on sending is not read for ever", async () => {
  const cases = [
    ["without a token", "PUT /api/v1/uploads/u/content", { authSecret: SECRET }, "401"],
    ["of no route", "POST /api/v1/nothing", {}, "404"],
    ["of another method", "PUT /api/v1/uploads", {}, "405"],
    ["with a body where none belongs", "GET /api/v1/tasks/nobody", {}, "404"],
    ["that asks whether we live", "GET /healthz", {}, "200"],
  ] as const;
  // All at once: each is read for some seconds more.
  const answered = cases.map(async ([name, line, options]) => {
    const { port } = await serve(options);
    return [name, await sendEndlessly(port, line)];
  });
  expect(await Promise.all(answered)).toEqual(cases.map(([name, , , status]) => [name, status]));
});

test.each(["keep-alive", "close"])(
  "the refusal of a body that is still coming gets through with Connection: %s",
  async (how) => {
    const { port } = await serve({ authSecret: SECRET });
    const body = Buffer.alloc(40_000_000);
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(port, "127.0.0.1");
      let text = "";
      // As many clients do: all is sent before anything is read.
      socket.pause();
      socket.once("error", reject);
      socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
      socket.write(
        `PUT /api/v1/uploads/u/content HTTP/1.1\r\nHost: x\r\nConnection: ${how}\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      socket.end(body, () => socket.resume());
      socket.once("close", () => resolve(text));
    });
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
    expect(answer).toContain('"code":"UNAUTHENTICATED"');
  },
);
