import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { closeServed, serve } from "./served.test.kit.js";

afterEach(closeServed);

const SECRET = "a secret of more than thirty-two bytes, for this test";
const endless = "Host: x\r\nContent-Length: 99999999999\r\n\r\n";

/** Sends for as long as it may; the status of the answer, and whether the socket was let go within 6 s. */
async function sendEndlessly(port: number, line: string): Promise<{ status: string; released: boolean }> {
  const socket = connect(port, "127.0.0.1");
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => (answer += text));
  socket.on("error", () => undefined);
  socket.write(`${line} HTTP/1.1\r\n${endless}`);
  const sending = setInterval(() => socket.write("x".repeat(1_000)), 50);
  const released = await new Promise<boolean>((resolve) => {
    const late = setTimeout(() => resolve(false), 6_000);
    socket.once("close", () => {
      clearTimeout(late);
      resolve(true);
    });
  });
  clearInterval(sending);
  socket.destroy();
  return { status: answer.split(" ", 2)[1] ?? "", released };
}

describe.concurrent("a refused request is answered, and what it goes on sending is not read for ever", () => {
  test.each([
    ["without a token", "PUT /api/v1/uploads/u/content", { authSecret: SECRET }, "401"],
    ["of no route", "POST /api/v1/nothing", {}, "404"],
    ["of another method", "PUT /api/v1/uploads", {}, "405"],
    ["with a body where none belongs", "GET /api/v1/tasks/nobody", {}, "404"],
    ["that asks whether we live", "GET /healthz", {}, "200"],
  ] as const)("%s", async (_name, line, options, status) => {
    const { port } = await serve(options);
    expect(await sendEndlessly(port, line)).toEqual({ status, released: true });
  });
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
