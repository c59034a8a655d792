import { expect, test } from "vitest";
import { OptionError, parseOptions } from "./options.js";

function refusal(options: object): OptionError {
  try {
    parseOptions(options);
  } catch (error) {
    if (error instanceof OptionError) return error;
    throw error;
  }
  throw new Error("the options were accepted");
}

test("no options at all give every setting its standard value, frozen", () => {
  const settings = parseOptions({});
  expect(settings).toMatchObject({
    port: 8080,
    host: "127.0.0.1",
    heartbeatMs: 10_000,
    minFreeDiskBytes: 268_435_456,
  });
  expect(Object.isFrozen(settings)).toBe(true);
});

test("an unknown key is refused with the nearest known one", () => {
  expect(refusal({ heartBeatMs: 5 }).message).toContain("did you mean heartbeatMs?");
  expect(refusal({ zzz: 1 }).message).toContain("known are port,");
  expect(refusal({ zzz: 1 }).option).toBe("zzz");
});

test("a value out of bounds is refused with what was got and the bound", () => {
  expect(refusal({ port: 70_000 }).message).toBe("port must be an integer from 0 to 65535: got 70000");
  expect(refusal({ port: "80" }).message).toContain('got "80"');
  expect(refusal({ maxStreamAgeMs: 3e9 }).option).toBe("maxStreamAgeMs");
});

test("two settings that contradict each other are named with both values", () => {
  expect(refusal({ heartbeatMs: 2_000, maxStreamAgeMs: 1_500 }).message).toContain("got 1500 and 2000");
  expect(refusal({ headerTimeoutMs: 90_000 }).message).toContain("got 90000 and 75000");
  expect(refusal({ authSecret: "x".repeat(32), authorize: () => true }).option).toBe("authorize");
  expect(refusal({ sseHttp1: true }).message).toContain("sseHttp1 needs http 2: got 1.1");
  expect(parseOptions({ sseHttp1: true, http: "2" }).sseHttp1).toBe(true);
});

test("a secret that is too short is refused without being shown", () => {
  const { message } = refusal({ authSecret: "hunter2" });
  expect(message).toContain("at least 32 bytes: got 7");
  expect(message).not.toContain("hunter2");
});

test("half of a TLS pair is refused", () => {
  expect(refusal({ tls: { cert: "-----BEGIN CERTIFICATE-----" } }).message).toContain("tls.key");
});

test("a base path loses its trailing slash and can't climb", () => {
  expect(parseOptions({ basePath: "/live/" }).basePath).toBe("/live");
  expect(parseOptions({ basePath: "/" }).basePath).toBe("");
  expect(refusal({ basePath: "/a/../b" }).option).toBe("basePath");
  expect(refusal({ basePath: "a" }).option).toBe("basePath");
});

test("an origin with a path is refused, and * stands alone", () => {
  expect(parseOptions({ corsOrigins: ["https://app.example"] }).corsOrigins).toEqual(["https://app.example"]);
  expect(refusal({ corsOrigins: ["https://app.example/x"] }).option).toBe("corsOrigins");
  expect(refusal({ corsOrigins: ["*", "https://app.example"] }).message).toContain("stands alone");
});
