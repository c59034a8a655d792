import fc from "fast-check";
import { expect, test } from "vitest";
import { boolean, choice, duration, integer, list, orNone, secret, size, text } from "./setting-kind.js";
import { UsageError } from "./usage-error.js";

test.each([
  [
    () => integer(0, 65_535).parse("70000", "--port"),
    '--port must be an integer from 0 to 65535: got "70000"',
  ],
  [() => integer(0, 65_535).parse("8o80", "--port"), '--port must be an integer from 0 to 65535: got "8o80"'],
  [() => integer(0, 65_535).parse("", "--port"), '--port must be an integer from 0 to 65535: got ""'],
  [
    () => duration("100ms", "1h").parse("10", "HOLDFAST_HEARTBEAT"),
    'HOLDFAST_HEARTBEAT must be a duration with a unit (ms, s, min, h or d), like 10s: got "10"',
  ],
  [
    () => duration("100ms", "1h").parse("2h", "--heartbeat"),
    '--heartbeat must be from 100ms to 1h: got "2h"',
  ],
  [() => size("1B", "1GiB").parse("2GiB", "--max"), '--max must be from 1B to 1GiB: got "2GiB"'],
  [() => boolean().parse("yes", "--insecure"), '--insecure must be true or false: got "yes"'],
  [() => choice(["1.1"]).parse("2", "--http"), '--http must be 1.1: got "2"'],
  [() => choice(["a", "b"]).parse("c", "--x"), '--x must be one of a, b: got "c"'],
  [
    () => text("<path>", /^[^\0]+$/, "a path").parse("a\0b", "--data-dir"),
    '--data-dir must be a path: got "a\\u0000b"',
  ],
  [() => list(choice(["a", "b"])).parse("a,c", "--x"), '--x must be one of a, b: got "c"'],
])("a refusal says what was refused, got and the bound (%#)", (parse, message) => {
  expect(parse).toThrow(new UsageError(message));
});

test("a secret that is too short is refused with its length and never shown", () => {
  expect(() => secret(32).parse("hunter2", "--auth-secret")).toThrow(
    new UsageError("--auth-secret must be at least 32 bytes: got 7; make one with: openssl rand -base64 48"),
  );
  expect(secret(32).format("hunter2".repeat(9))).not.toContain("hunter2");
});

test("a refused text of any length stays a short line", () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 5_000 }), (got) => {
      fc.pre(got !== "true" && got !== "false");
      let message = "";
      try {
        boolean().parse(got, "--insecure");
      } catch (error) {
        if (error instanceof UsageError) ({ message } = error);
      }
      expect(message).toMatch(/^--insecure must be true or false: got ".*"$/s);
      expect(message).not.toContain("\n");
      expect(message.length).toBeLessThan(600);
    }),
  );
});

test("none stands for no bound, and a list parts at commas", () => {
  expect(orNone(size("1B", "1GiB")).parse("none", "--max")).toBeNull();
  expect(orNone(size("1B", "1GiB")).format(null)).toBe("none");
  expect(list(choice(["a", "b"])).parse("a, b", "--x")).toEqual(["a", "b"]);
});
