import { expect, test } from "vitest";
import { toWatchCommand } from "./watch-command.js";

test("the command names the stream, quoted for a shell", () => {
  expect(toWatchCommand("http://h/a'b/stream", false)).toBe("curl -N 'http://h/a%27b/stream'");
});

test("a token is left to the person's own environment", () => {
  expect(toWatchCommand("http://h/s", true)).toBe(
    `curl -N -H "Authorization: Bearer $HOLDFAST_TOKEN" 'http://h/s'`,
  );
});
